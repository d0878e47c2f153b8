import type { ConditionDraft } from '@skiff/model/condition';
import type { Clock } from '@skiff/runtime/clock';
import { mergeConditions, sameConditions } from './merge-conditions.ts';
import type { ResourceRef, ResourceSource, StatusDetails } from './resource-source.ts';

/** Writes an object's conditions if they say anything new. @throws {StoreError} when they cannot be written now. */
export async function publishStatus(
  target: { readonly source: Pick<ResourceSource, 'status' | 'writeStatus'>; readonly clock: Clock },
  ref: ResourceRef,
  drafts: readonly ConditionDraft[],
  details: StatusDetails = {},
): Promise<void> {
  const status = target.source.status(ref);
  const previous = status?.conditions ?? [];
  const conditions = mergeConditions(previous, drafts, target.clock.now());
  if (!sameConditions(previous, conditions) || status?.address !== details.address) await target.source.writeStatus(ref, conditions, details);
}
