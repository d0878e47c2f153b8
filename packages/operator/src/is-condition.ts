import { CONDITION_REASONS, CONDITION_TYPES, type Condition } from '@skiff/model/condition';
import { isRecord } from '@skiff/model/is-record';

const TYPES: readonly unknown[] = CONDITION_TYPES;
const STATES: readonly unknown[] = ['True', 'False', 'Unknown'] satisfies Condition['status'][];
const REASONS: readonly unknown[] = CONDITION_REASONS;

/** Whether a status that was read holds a condition as this program writes them. */
export function isCondition(value: unknown): value is Condition {
  return (
    isRecord(value) &&
    TYPES.includes(value.type) &&
    STATES.includes(value.status) &&
    REASONS.includes(value.reason) &&
    typeof value.message === 'string' &&
    typeof value.observedGeneration === 'number' &&
    typeof value.lastTransitionTime === 'string'
  );
}
