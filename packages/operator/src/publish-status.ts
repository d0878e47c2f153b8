import { isDeepStrictEqual } from 'node:util';
import type { ConditionDraft, RouteDeliveries } from '@skiff/model/condition';
import type { HostKeyStatus } from '@skiff/model/host-key';
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
  const same = sameConditions(previous, conditions) && status?.address === details.address && sameHostKeys(status?.hostKeys, details.hostKeys);
  if (!same || !sameDeliveries(status?.deliveries, details.deliveries)) await target.source.writeStatus(ref, conditions, details);
}

/** Keys that are not given stay as they are. */
function sameHostKeys(present: readonly HostKeyStatus[] = [], wanted: readonly HostKeyStatus[] | undefined): boolean {
  const text = (keys: readonly HostKeyStatus[]) => keys.map(({ name, state, fingerprint }) => `${name} ${state} ${fingerprint}`).sort();
  return wanted === undefined || isDeepStrictEqual(text(present), text(wanted));
}

/** Counters that are not given stay as they are. */
function sameDeliveries(present: RouteDeliveries | undefined, wanted: RouteDeliveries | undefined): boolean {
  return wanted === undefined || isDeepStrictEqual(present, wanted);
}
