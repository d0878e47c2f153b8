import { createHash } from 'node:crypto';
import type { OperationLog } from '@skiff/database/operation-log';
import type { EventPublisher } from '@skiff/messaging/event-bus';
import type { FileEvent } from '@skiff/model/file-event';
import { StoreError } from '@skiff/model/store-error';
import type { InstanceId, OperationId } from '@skiff/model/upload-state';
import type { Clock } from '@skiff/runtime/clock';
import type { Failpoints } from '@skiff/runtime/failpoint';
import type { Logger } from '@skiff/runtime/logger';
import { publishBatch, toMessage } from './event-message.ts';

const BATCH = 100;
/** Events that go straight from their commit to the bus. Above this they stay in the outbox, where the poll finds them. */
const MAX_QUEUED = 1_000;
const SEND_TIMEOUT_MS = 20_000;
/** For a bus that asks for fewer calls and does not say how long; and the longest that is believed. */
const THROTTLED_PAUSE_MS = 5_000;
const LONGEST_THROTTLED_PAUSE_MS = 60_000;

export interface RelayProps {
  readonly log: OperationLog;
  readonly endpointId: number;
  readonly instance: InstanceId;
  /** Absent: the endpoint publishes nowhere, and events are done once they are recorded. */
  readonly publisher: EventPublisher | undefined;
  /** Events of one path are published one after the other, each when the one before is confirmed, to a queue with sessions. */
  readonly ordered: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly failpoints: Failpoints;
}

interface Ready {
  readonly id: OperationId;
  readonly event: FileEvent;
}

/**
 * Carries committed events to the bus (DESIGN P2.3): the ones of this process at once, what others left behind by a poll of
 * the outbox. An event counts as published only when the broker has confirmed it; a second sending has the same id. One that the
 * broker will not take is set apart with the reason, so that it holds up no other, and is tried again when a server starts.
 *
 * In order, what this process has committed goes by the outbox as well: whether it is the lowest of its path only the database knows.
 */
export class Relay {
  readonly #props: RelayProps;
  #queue: Ready[] = [];
  #running: Promise<void> | undefined;
  #failing = false;
  /** The bus asked to be left alone until then. */
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  #readmitted = false;
  /** One round at a time, where order counts. */
  #round: Promise<unknown> = Promise.resolve();
  #offered = false;

  constructor(props: RelayProps) {
    this.#props = props;
  }

  /** Takes an event that has just been committed. Never waits, never throws. */
  offer(event: FileEvent, id: OperationId): void {
    // While the bus is away events rest in the outbox; the claim on this one runs out within seconds.
    if (this.#failing || this.#queue.length >= MAX_QUEUED) return;
    if (this.#props.ordered) this.#offered = true;
    else this.#queue.push({ id, event });
    this.#run();
  }

  #run(): void {
    const { ordered } = this.#props;
    if (this.#running !== undefined || !(ordered ? this.#offered && !this.#failing : this.#queue.length > 0)) return;
    this.#running = (ordered ? this.#followOffers() : this.#drainQueue()).finally(() => {
      this.#running = undefined;
      // What was offered after the last look.
      this.#run();
    });
  }

  async #followOffers(): Promise<void> {
    while (this.#offered && !this.#failing) {
      this.#offered = false;
      try {
        await this.#inTurn(() => this.#sendOutbox());
      } catch (error) {
        this.#failed(error);
        this.#props.logger.warn({ err: error }, 'publishing failed, events wait in the outbox');
      }
    }
  }

  #inTurn<Result>(round: () => Promise<Result>): Promise<Result> {
    const turn = this.#round.then(round);
    // Whoever comes next does not care how this one ended.
    this.#round = turn.catch(() => 'ended');
    return turn;
  }

  async #drainQueue(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, BATCH);
      try {
        await this.#publish(batch);
      } catch (error) {
        this.#failed(error);
        const left = [...batch, ...this.#queue].map((ready) => ready.id);
        this.#queue = [];
        this.#props.logger.warn({ err: error, events: left.length }, 'publishing failed, events wait in the outbox');
        await this.#giveBack(left);
      }
    }
  }

  #failed(error: unknown): void {
    this.#failing = true;
    if (!isThrottled(error)) return;
    const pauseMs = Math.min(error.retryAfterMs ?? THROTTLED_PAUSE_MS, LONGEST_THROTTLED_PAUSE_MS);
    // Up to a fifth longer, so that servers do not come back together.
    this.#pausedUntilMs = this.#props.clock.monotonicMs() + pauseMs * (1 + Math.random() / 5);
  }

  async #giveBack(ids: readonly OperationId[]): Promise<void> {
    try {
      await this.#props.log.releasePublishable(ids);
    } catch (error) {
      this.#props.logger.warn({ err: error }, 'claims on events run out by themselves');
    }
  }

  /**
   * One round over the outbox; none while the bus has asked to be left alone. Returns how many events it sent; rejects when the bus or
   * the database is away.
   */
  async poll(): Promise<number> {
    const { clock, ordered } = this.#props;
    if (clock.monotonicMs() < this.#pausedUntilMs) return 0;
    await this.#readmit();
    return ordered ? this.#inTurn(() => this.#sendOutbox()) : this.#sendOutbox();
  }

  async #sendOutbox(): Promise<number> {
    const { log, endpointId, instance, clock, logger, ordered } = this.#props;
    let sent = 0;
    for (;;) {
      const batch = await (ordered ? log.claimLowestOfPaths(endpointId, instance, BATCH) : log.claimPublishable(endpointId, instance, BATCH));
      if (batch.length === 0) break;
      await this.#props.failpoints.hit('relay.claimed');
      try {
        sent += await this.#publish(batch);
      } catch (error) {
        this.#failed(error);
        await this.#giveBack(batch.map((ready) => ready.id));
        if (!isThrottled(error)) throw error;
        logger.warn({ err: error, pauseMs: Math.round(this.#pausedUntilMs - clock.monotonicMs()) }, 'the bus asks for fewer calls, events wait in the outbox');
        return sent;
      }
      if (!ordered && batch.length < BATCH) break;
    }
    this.#failing = false;
    return sent;
  }

  /** Once per process: what was refused before may go now, to another bus or under another limit. */
  async #readmit(): Promise<void> {
    if (this.#readmitted) return;
    const events = await this.#props.log.readmitRefused(this.#props.endpointId);
    this.#readmitted = true;
    if (events > 0) this.#props.logger.info({ events }, 'events that the bus had refused are tried again');
  }

  /** Returns how many the bus has taken. */
  async #publish(batch: readonly Ready[]): Promise<number> {
    const { log, failpoints, publisher, ordered } = this.#props;
    const messages = batch.map(({ event }) => (ordered ? { ...toMessage(event), sessionId: sessionOf(event) } : toMessage(event)));
    const refused = await publishBatch(publisher, messages, AbortSignal.timeout(SEND_TIMEOUT_MS));
    await failpoints.hit('relay.sent');
    const taken = batch.filter(({ event }) => !refused.has(event.id)).map((ready) => ready.id);
    await log.published(taken);
    if (refused.size > 0) await this.#setApart(batch, refused);
    await failpoints.hit('relay.marked');
    return taken.length;
  }

  async #setApart(batch: readonly Ready[], refused: ReadonlyMap<string, string>): Promise<void> {
    const apart = batch.flatMap(({ id, event }) => {
      const reason = refused.get(event.id);
      return reason === undefined ? [] : [{ id, event, reason }];
    });
    await this.#props.log.refused(apart.map(({ id, reason }) => ({ id, reason })));
    for (const { event, reason } of apart) {
      const { path, username } = event.data;
      this.#props.logger.error(
        { event: event.id, type: event.type, user: username, path, reason },
        'the bus refused an event; it is kept, and tried again when a server starts',
      );
    }
  }

  /** Waits until nothing of this process is on its way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }
}

function isThrottled(error: unknown): error is StoreError {
  return error instanceof StoreError && error.code === 'throttled';
}

/** One session per blob; hashed, since a name may be longer than a session's id. */
function sessionOf({ data }: FileEvent): string {
  return createHash('sha256').update(data.blob.container).update('\0').update(data.blob.name).digest('base64url');
}
