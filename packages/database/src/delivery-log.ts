import type { InstanceId } from '@skiff/model/upload-state';

export interface DeliveryKey {
  readonly endpointId: number;
  readonly eventId: string;
  /** `namespace/name` of the EventRoute. */
  readonly route: string;
  readonly target: string;
}

/** A delivery that did not succeed at once and waits for another try. */
export interface PendingDelivery extends DeliveryKey {
  readonly attempt: number;
  readonly dueInMs: number;
  readonly reason: string;
  /** The message as it came from the queue. */
  readonly body: Buffer;
  readonly contentType: string;
  /** Absent: nothing has to wait for it. */
  readonly order?: DeliveryOrder;
}

/** Deliveries of one key to one target go in the order of their sequences, each when the one before has succeeded or is dead. */
export interface DeliveryOrder {
  /** 32 bytes. */
  readonly key: Buffer;
  readonly sequence: bigint;
}

export interface ClaimedDelivery extends DeliveryKey {
  readonly attempt: number;
  readonly body: Buffer;
  readonly contentType: string;
}

/** One target of one route. */
export type DeliveryPlace = Pick<DeliveryKey, 'route' | 'target'>;

export interface DeliveryClaim {
  readonly endpointId: number;
  readonly owner: InstanceId;
  readonly limit: number;
  /** For how long nobody else gets what is claimed. */
  readonly leaseMs: number;
  /** Only deliveries before which no other has to go ({@link DeliveryOrder}). */
  readonly inOrder?: boolean;
  /** Which targets' deliveries. Default: everybody's. */
  readonly among?: { readonly only: DeliveryPlace } | { readonly except: readonly DeliveryPlace[] };
}

export type DeliveryResult =
  /** `ordered`: it may have held others back ({@link DeliveryOrder}), and is forgotten there. */
  | (DeliveryKey & { readonly state: 'succeeded'; readonly attempt: number; readonly detail: string; readonly ordered?: boolean })
  | (DeliveryKey & { readonly state: 'waiting'; readonly attempt: number; readonly dueInMs: number; readonly reason: string })
  | (DeliveryKey & { readonly state: 'dead'; readonly attempt: number; readonly reason: string });

/** What became of each event at each target (DESIGN §6). */
export interface DeliveryLog {
  /** Records failed first attempts, all in one transaction; a row that exists already is left alone. */
  park(deliveries: readonly PendingDelivery[]): Promise<void>;
  /** Claims due deliveries, oldest first, skipping what others have claimed. */
  claimDue(claim: DeliveryClaim): Promise<readonly ClaimedDelivery[]>;
  /** Records outcomes, in one batch. */
  record(results: readonly DeliveryResult[]): Promise<void>;
  /** Targets at which this event has succeeded or is parked already: `route target` keys. */
  settled(endpointId: number, eventId: string): Promise<ReadonlySet<string>>;
  /** Targets at which an earlier delivery of the same order waits: `route target` keys. */
  heldBack(endpointId: number, order: DeliveryOrder): Promise<ReadonlySet<string>>;
  /** How many wait, and how many are dead. */
  status(endpointId: number): Promise<{ readonly waiting: number; readonly dead: number }>;
  prune(olderThanMs: number, limit: number): Promise<number>;
}
