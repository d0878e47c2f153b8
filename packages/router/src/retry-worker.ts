import type { ClaimedDelivery, DeliveryLog } from '@skiff/database/delivery-log';
import type { InstanceId } from '@skiff/model/upload-state';
import { pause } from '@skiff/runtime/abort';
import type { Logger } from '@skiff/runtime/logger';
import type { DeliveryLedger } from './delivery-ledger.ts';
import { parseMessage } from './message-parser.ts';
import type { TargetLanes } from './target-lanes.ts';

export interface RetryWorkerProps {
  readonly endpointId: number;
  readonly instance: InstanceId;
  readonly deliveries: Pick<DeliveryLog, 'claimDue' | 'prune'>;
  readonly lanes: TargetLanes;
  readonly ledger: DeliveryLedger;
  /** Reads the routes again, to tell a target that is gone from one that is not known yet. */
  readonly refreshRoutes: () => Promise<void>;
  readonly random: () => number;
  readonly monotonicMs: () => number;
  readonly logger: Logger;
  /** How often to look for due deliveries. */
  readonly pollMs: number;
  /** Repeated attempts at a time, over all targets. */
  readonly concurrency: number;
  /** How long outcomes are kept. */
  readonly retentionMs: number;
  /** Deliveries wait for those before them on the same path. */
  readonly inOrder: boolean;
}

/** A claim ends this long after the longest attempt could have: time for its outcome to be written. */
const LEASE_SLACK_MS = 15_000;
const MAX_CLAIM = 64;
const MAX_PAUSE_MS = 10_000;
/** Targets that keep failing and get one delivery each in a round; the others have their turn in the next. */
const MAX_TRICKLING = 16;
/** Shortest time between two looks at the database that find nothing. */
const MIN_PAUSE_MS = 50;
const UNKNOWN_TARGET_PAUSE_MS = 5000;
const PRUNE_EVERY_MS = 60_000;
const PRUNE_LIMIT = 1000;

type Found = 'nothing' | 'some' | 'all there was room for';

/** Tries deliveries again when they are due, whichever router put them aside; and forgets old outcomes. */
export class RetryWorker {
  readonly #props: RetryWorkerProps;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #loop: Promise<void> | undefined;
  #pruneAt = 0;
  #trickled = 0;
  /** Ends the pause: a place has become free, or all ends. */
  #wake = new AbortController();

  constructor(props: RetryWorkerProps) {
    this.#props = props;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Claims nothing more, and waits for the attempts under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#loop;
    await Promise.all(this.#running);
  }

  async #run(): Promise<void> {
    const { pollMs, random, logger, inOrder } = this.#props;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      let found: Found = 'nothing';
      try {
        found = await this.#round();
        failures = 0;
      } catch (error) {
        if (failures++ === 0) logger.warn({ err: error }, 'due deliveries cannot be read');
      }
      if (found === 'all there was room for') continue;
      const pauseMs = Math.min(pollMs * 2 ** Math.min(failures, 6), MAX_PAUSE_MS) * (0.75 + 0.5 * random());
      // In order, each that ends makes way for the next.
      const minPauseMs = inOrder && found === 'some' ? 0 : Math.min(MIN_PAUSE_MS, pauseMs);
      await pause(minPauseMs, this.#stop.signal);
      if (!this.#stop.signal.aborted) await pause(pauseMs - minPauseMs, failures > 0 ? this.#stop.signal : this.#wake.signal);
    }
  }

  async #round(): Promise<Found> {
    const { deliveries, concurrency, monotonicMs, retentionMs } = this.#props;
    if (monotonicMs() >= this.#pruneAt) {
      this.#pruneAt = monotonicMs() + PRUNE_EVERY_MS;
      await deliveries.prune(retentionMs, PRUNE_LIMIT);
    }
    const limit = Math.min(concurrency - this.#running.size, MAX_CLAIM);
    if (limit <= 0) return 'nothing';
    this.#wake = new AbortController();
    const claimed = await this.#claim(limit);
    const unknown = claimed.filter((delivery) => !this.#begin(delivery));
    if (unknown.length > 0) await this.#settleUnknown(unknown);
    if (claimed.length >= limit) return 'all there was room for';
    return claimed.length > 0 ? 'some' : 'nothing';
  }

  async #claim(limit: number): Promise<readonly ClaimedDelivery[]> {
    const { deliveries, endpointId, instance, lanes, inOrder } = this.#props;
    const claim = { endpointId, owner: instance, leaseMs: lanes.maxTimeoutMs() + LEASE_SLACK_MS, inOrder };
    const { full, trickling } = lanes.retryRoom();
    const kept = Math.min(trickling.length, MAX_TRICKLING, Math.floor(limit / 2));
    const claimed = [...(await deliveries.claimDue({ ...claim, limit: limit - kept, among: { except: full } }))];
    const first = this.#trickled % Math.max(1, trickling.length);
    for (const only of [...trickling.slice(first), ...trickling.slice(0, first)].slice(0, MAX_TRICKLING)) {
      if (claimed.length >= limit) break;
      this.#trickled += 1;
      claimed.push(...(await deliveries.claimDue({ ...claim, limit: 1, among: { only } })));
    }
    return claimed;
  }

  /** False when there is no such target. */
  #begin(delivery: ClaimedDelivery): boolean {
    const { lanes, ledger, inOrder } = this.#props;
    const lane = lanes.get(delivery.route, delivery.target);
    if (lane === undefined) return false;
    const parsed = parseMessage({ body: delivery.body, contentType: delivery.contentType, messageId: delivery.eventId });
    if (parsed.kind === 'notAnEvent') {
      ledger.dead(delivery, delivery.attempt, `the stored message is unreadable: ${parsed.description}`);
      return true;
    }
    const number = delivery.attempt + 1;
    const { event, contentType } = parsed;
    const attempt = lane.retry({ eventId: delivery.eventId, event, body: delivery.body, contentType, attempt: number });
    if (attempt === undefined) {
      ledger.standsBack(delivery, delivery.attempt, lane.standBackMs(), 'the target is busy or keeps failing');
      return true;
    }
    const work = attempt.outcome
      .then((outcome) => {
        ledger.ended(delivery.eventId, lane, number, outcome);
        // The next of the path has its turn when the database knows: waiting for the usual batch would make that one a second.
        return inOrder ? ledger.written() : undefined;
      })
      .finally(() => {
        this.#running.delete(work);
        this.#wake.abort();
      });
    this.#running.add(work);
    return true;
  }

  /** Another router may know a newer route than this one: only when the routes were read again is a missing target really gone. */
  async #settleUnknown(deliveries: readonly ClaimedDelivery[]): Promise<void> {
    const { ledger, refreshRoutes, logger } = this.#props;
    let fresh = true;
    try {
      await refreshRoutes();
    } catch (error) {
      logger.debug({ err: error }, 'routes cannot be read to look for a target');
      fresh = false;
    }
    for (const delivery of deliveries) {
      if (this.#begin(delivery)) continue;
      if (fresh) ledger.dead(delivery, delivery.attempt, 'the route or target was removed');
      else ledger.standsBack(delivery, delivery.attempt, UNKNOWN_TARGET_PAUSE_MS, 'the target is not known here yet');
    }
  }
}
