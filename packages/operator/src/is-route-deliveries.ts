import type { RouteDeliveries } from '@skiff/model/condition';
import { isRecord } from '@skiff/model/is-record';

/** Whether a status that was read holds counters as this program writes them. */
export function isRouteDeliveries(value: unknown): value is RouteDeliveries {
  if (!isRecord(value)) return false;
  const isText = (text: unknown): boolean => text === undefined || typeof text === 'string';
  const { succeeded, retrying, dead, lastSuccessTime, lastFailureTime, lastFailureReason } = value;
  return [succeeded, retrying, dead].every((count) => typeof count === 'number') && [lastSuccessTime, lastFailureTime, lastFailureReason].every(isText);
}
