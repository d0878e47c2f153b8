import type { DeliveryKey } from './delivery-log.ts';

export type DeliveryState = 'waiting' | 'succeeded' | 'dead';

export interface DeliveryRecord extends DeliveryKey {
  readonly state: DeliveryState;
  readonly attempt: number;
  /** What the target answered, or why it waits or is dead. */
  readonly detail: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** When it may be tried again; null once it is settled. */
  readonly dueAt: Date | null;
}

/** One of `eventId` and `state` at least: everything else would read the whole table. */
export type DeliverySearch = {
  readonly endpointId: number;
  readonly route?: string;
  readonly target?: string;
  /** Only what changed before this moment, to page on. */
  readonly before?: Date;
  /** At most 1,000. */
  readonly limit: number;
} & ({ readonly eventId: string; readonly state?: DeliveryState } | { readonly eventId?: string; readonly state: DeliveryState });

export interface ReplaySelection {
  readonly endpointId: number;
  readonly route?: string;
  readonly target?: string;
  readonly eventId?: string;
  /** At most 10,000; call again while it gives as many. */
  readonly limit: number;
}

export interface RouteCountDelta {
  /** `namespace/name` */
  readonly route: string;
  readonly delivered: number;
  readonly dead: number;
}

export interface RouteCounts extends RouteCountDelta {
  readonly lastDeliveredAt: Date | null;
  /** At this moment. */
  readonly waiting: number;
}

/** What people ask about deliveries, and what they do about them. */
export interface DeliveryHistory {
  /** The last to change first. */
  search(search: DeliverySearch): Promise<readonly DeliveryRecord[]>;
  /** Makes dead deliveries due again, with all their attempts. Gives their number. Those whose message was not kept stay dead. */
  replay(selection: ReplaySelection): Promise<number>;
  /** Adds to the counters of routes. An addition whose answer was lost may be counted twice. */
  addCounts(endpointId: number, deltas: readonly RouteCountDelta[]): Promise<void>;
  /** `delivered` and `dead` since the route was first seen. */
  counts(endpointId: number): Promise<readonly RouteCounts[]>;
}
