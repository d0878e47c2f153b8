import type { KubeObject } from '@skiff/kube/kube-object';
import { isRecord } from '@skiff/model/is-record';

export interface SeenCondition {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** A condition of an object's status; undefined: it has none of this type. */
export function conditionOf(object: KubeObject | undefined, type: string): SeenCondition | undefined {
  const conditions = isRecord(object?.status) && Array.isArray(object.status.conditions) ? object.status.conditions : [];
  const found: unknown = conditions.find((condition: unknown) => isRecord(condition) && condition.type === type);
  return isRecord(found) ? { status: String(found.status), reason: String(found.reason), message: String(found.message) } : undefined;
}
