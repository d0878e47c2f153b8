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

/** Which deliveries are meant; what is left out is any. */
export interface DeliverySelection {
  readonly endpointId: number;
  readonly route?: string;
  readonly target?: string;
  readonly eventId?: string;
}

/** Where a page ended. The time alone does not tell: outcomes are written hundreds at a time, and share it. */
export type DeliveryPosition = Pick<DeliveryRecord, 'updatedAt' | 'eventId' | 'route' | 'target'>;

/** One of `eventId` and `state` at least: everything else would read the whole table. */
export type DeliverySearch = DeliverySelection & {
  /** Only what changed before this moment. */
  readonly before?: Date;
  /** Only what comes after this in the list, to page on. */
  readonly after?: DeliveryPosition;
  /** At most 1,000. */
  readonly limit: number;
} & ({ readonly eventId: string; readonly state?: DeliveryState } | { readonly state: DeliveryState });

export interface ReplaySelection extends DeliverySelection {
  /** Only what changed before this moment of the database's clock: what has died again since stays dead. */
  readonly before?: Date;
  /** At most 10,000; call again while it gives as many. */
  readonly limit: number;
}

export interface Replayable {
  readonly replayable: number;
  /** Dead ones whose message was not kept. */
  readonly withoutMessage: number;
  readonly asOf: Date;
}

export interface RouteCountDelta {
  /** `namespace/name` */
  readonly route: string;
  readonly delivered: number;
  readonly died: number;
  /** The last attempt that failed, if any did: what the target answered, and how long ago. At most 512 characters are kept. */
  readonly failure?: { readonly reason: string; readonly agoMs: number } | undefined;
}

export interface RouteCounts {
  /** `namespace/name` */
  readonly route: string;
  /** Since the route was first seen. */
  readonly delivered: number;
  /** Since the route was first seen, those included that were replayed. */
  readonly died: number;
  readonly lastDeliveredAt: Date | null;
  readonly lastFailure: { readonly at: Date; readonly reason: string } | null;
  /** At this moment. */
  readonly waiting: number;
  /** At this moment: not replayed, not forgotten. */
  readonly dead: number;
}

/** What people ask about deliveries, and what they do about them. */
export interface DeliveryHistory {
  /** The last to change first. */
  search(search: DeliverySearch): Promise<readonly DeliveryRecord[]>;
  /** What {@link replay} would find, at the moment `asOf` of the database's clock. */
  replayable(selection: DeliverySelection): Promise<Replayable>;
  /** Makes dead deliveries due again, with all their attempts. Gives their number. Those whose message was not kept stay dead. */
  replay(selection: ReplaySelection): Promise<number>;
  /** Adds to the counters of routes. An addition whose answer was lost may be counted twice. */
  addCounts(endpointId: number, deltas: readonly RouteCountDelta[]): Promise<void>;
  counts(endpointId: number): Promise<readonly RouteCounts[]>;
}
