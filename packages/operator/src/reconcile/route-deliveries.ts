import type { DeliveryHistory, RouteCounts } from '@skiff/database/delivery-history';
import type { RouteDeliveries } from '@skiff/model/condition';
import type { Logger } from '@skiff/runtime/logger';
import { ResyncLooks } from './resync-looks.ts';

/** What each route's events came to, by `namespace/name` of the route; asked for by the endpoint's number. */
export type RouteDeliveryLooks = ResyncLooks<number, ReadonlyMap<string, RouteDeliveries>>;

export function routeDeliveryLooks(history: Pick<DeliveryHistory, 'counts'>, logger: Logger): RouteDeliveryLooks {
  return new ResyncLooks({
    read: async (endpointId: number) => new Map((await history.counts(endpointId)).map((one) => [one.route, toDeliveries(one)])),
    unread: 'counters of routes cannot be read; those of the last look stand',
    logger,
  });
}

function toDeliveries(counts: RouteCounts): RouteDeliveries {
  const { delivered, waiting, dead, lastDeliveredAt, lastFailure } = counts;
  return {
    succeeded: delivered,
    retrying: waiting,
    dead,
    ...(lastDeliveredAt === null ? {} : { lastSuccessTime: toTime(lastDeliveredAt) }),
    ...(lastFailure === null ? {} : { lastFailureTime: toTime(lastFailure.at), lastFailureReason: lastFailure.reason }),
  };
}

/** `metav1.Time` has seconds. */
function toTime(at: Date): string {
  return at.toISOString().replace(/\.\d+Z$/, 'Z');
}
