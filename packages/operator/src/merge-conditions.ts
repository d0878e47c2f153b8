import type { Condition, ConditionDraft } from '@skiff/model/condition';

/** Carries `lastTransitionTime` over where the status is the same as before (metav1.Condition: it changes with `status` only). */
export function mergeConditions(previous: readonly Condition[], drafts: readonly ConditionDraft[], now: Date): readonly Condition[] {
  return drafts.map((draft) => {
    const before = previous.find((condition) => condition.type === draft.type);
    return { ...draft, lastTransitionTime: before?.status === draft.status ? before.lastTransitionTime : now.toISOString() };
  });
}

export function sameConditions(left: readonly Condition[], right: readonly Condition[]): boolean {
  return (
    left.length === right.length &&
    left.every((condition) => {
      const other = right.find((candidate) => candidate.type === condition.type);
      return (
        other !== undefined &&
        other.status === condition.status &&
        other.reason === condition.reason &&
        other.message === condition.message &&
        other.observedGeneration === condition.observedGeneration &&
        other.lastTransitionTime === condition.lastTransitionTime
      );
    })
  );
}
