import type { DeliveryHistory, RouteCounts } from '@skiff/database/delivery-history';
import type { RouteDeliveries } from '@skiff/model/condition';
import { isTransient, StoreError } from '@skiff/model/store-error';
import type { Logger } from '@skiff/runtime/logger';

export interface RouteDeliveriesProps {
  readonly history: Pick<DeliveryHistory, 'counts'>;
  readonly logger: Logger;
}

/**
 * What each route's events came to, for the status. Routers have no access to the Kubernetes API: they add up in the database, and
 * the operator looks there once per resync, so that a status changes by this no more often, whatever the traffic.
 */
export class RouteDeliveryCounts {
  readonly #props: RouteDeliveriesProps;
  readonly #known = new Map<number, { due: boolean; byRoute: ReadonlyMap<string, RouteDeliveries> }>();

  constructor(props: RouteDeliveriesProps) {
    this.#props = props;
  }

  /** The next {@link of} looks again. */
  expire(): void {
    for (const known of this.#known.values()) known.due = true;
  }

  /** By `namespace/name` of the route. Those of the last look while the database does not answer. */
  async of(endpointId: number): Promise<ReadonlyMap<string, RouteDeliveries>> {
    const known = this.#known.get(endpointId);
    if (known?.due === false) return known.byRoute;
    try {
      const counts = await this.#props.history.counts(endpointId);
      const byRoute = new Map(counts.map((one) => [one.route, toDeliveries(one)]));
      this.#known.set(endpointId, { due: false, byRoute });
      return byRoute;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      // An outage is told of elsewhere; and whatever it is, routes work without their counters.
      this.#props.logger[isTransient(error) ? 'debug' : 'warn']({ endpointId, err: error }, 'counters of routes cannot be read; those of the last look stand');
      return known?.byRoute ?? new Map();
    }
  }
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
