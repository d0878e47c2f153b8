import type { Condition } from '@skiff/model/condition';
import { completeConditions } from '@skiff/policy/complete-conditions';
import { mergeConditions } from '../merge-conditions.ts';

/** What to say of an object that the API server took and this program cannot read: a field of a newer version, or of an older one. */
export function invalidConditions(input: {
  readonly problem: string;
  readonly generation: number;
  readonly before: readonly Condition[];
  readonly now: Date;
}): readonly Condition[] {
  const refused = { reason: 'Invalid', message: `this version of Skiff cannot read it, and what was in force stays so: ${input.problem}` } as const;
  const verdict = { observedGeneration: input.generation, refused, unresolved: undefined, notReady: undefined, inForce: false };
  return mergeConditions(input.before, completeConditions(verdict, { status: 'True' }), input.now);
}
