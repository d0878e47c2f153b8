import type { EventPublisher } from '@skiff/messaging/event-bus';
import type { BestEffortEventType } from '@skiff/model/event-types';
import type { FileEvent } from '@skiff/model/file-event';
import type { LoginEvent } from '@skiff/model/login-event';
import { StoreError } from '@skiff/model/store-error';
import { pause } from '@skiff/runtime/abort';
import type { Clock } from '@skiff/runtime/clock';
import type { Logger } from '@skiff/runtime/logger';
import { backOffDelayMs } from '@skiff/runtime/retry';
import { publishBatch, toMessage } from './event-message.ts';

/** Events that wait for the bus; further ones are dropped. About 1 MB. */
export const MAX_WAITING = 1_000;
/** Small, so that files' events on the same connection hardly wait for them. */
const BATCH = 50;
const SEND_TIMEOUT_MS = 20_000;
/** The longest pause that a bus may ask for. */
const LONGEST_PAUSE_MS = 60_000;
const BACK_OFF = { minDelayMs: 1_000, maxDelayMs: 30_000 };
const SAY_EVERY_MS = 60_000;
/** What is sent while the server stops. */
const LAST_SEND_MS = 2_000;

export type DownloadedEvent = FileEvent & { readonly type: 'dev.skiff.file.downloaded' };
export type BestEffortEvent = DownloadedEvent | LoginEvent;

/**
 * `BufferFull`: the bus has been away for too long. `RateLimited`: too many failed logins. `Refused`: the bus will not take it.
 * `Stopped`: the server ended before it was sent.
 */
export type DropReason = 'BufferFull' | 'RateLimited' | 'Refused' | 'Stopped';

export interface BestEffortEventsProps {
  /** Absent: the endpoint publishes nowhere. */
  readonly publisher: EventPublisher | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onDropped: (type: BestEffortEventType, reason: DropReason) => void;
}

/**
 * Sends events that nobody is promised: of downloads and logins. They wait in memory alone, and nothing waits for them. One that was
 * sent and not confirmed is sent again with the id it had.
 */
export class BestEffortEvents {
  readonly #props: BestEffortEventsProps;
  readonly #stop = new AbortController();
  #waiting: BestEffortEvent[] = [];
  #running: Promise<void> | undefined;
  #saidAt: number | undefined;

  constructor(props: BestEffortEventsProps) {
    this.#props = props;
  }

  /** Takes an event. Never waits, never throws. */
  offer(event: BestEffortEvent): void {
    if (this.#props.publisher === undefined) return;
    if (this.#stop.signal.aborted || this.#waiting.length >= MAX_WAITING) {
      this.drop(event.type, this.#stop.signal.aborted ? 'Stopped' : 'BufferFull');
      return;
    }
    this.#waiting.push(event);
    this.#run();
  }

  /** Counts an event that is not sent. */
  drop(type: BestEffortEventType, reason: DropReason): void {
    const { clock, logger, onDropped } = this.#props;
    onDropped(type, reason);
    const now = clock.monotonicMs();
    // The metric has the count; whoever makes events be dropped must not fill the log as well.
    if (this.#saidAt !== undefined && now - this.#saidAt < SAY_EVERY_MS) return;
    this.#saidAt = now;
    logger.warn({ type, reason }, 'events of downloads and logins are being dropped');
  }

  #run(): void {
    if (this.#running !== undefined || this.#waiting.length === 0 || this.#stop.signal.aborted) return;
    this.#running = this.#drain().finally(() => {
      this.#running = undefined;
      // What was offered after the last look.
      this.#run();
    });
  }

  async #drain(): Promise<void> {
    for (let failures = 0; this.#waiting.length > 0 && !this.#stop.signal.aborted; ) {
      try {
        await this.#sendBatch(AbortSignal.any([this.#stop.signal, AbortSignal.timeout(SEND_TIMEOUT_MS)]));
        failures = 0;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (failures++ === 0)
          this.#props.logger.warn({ err: error, events: this.#waiting.length }, 'events of downloads and logins cannot be sent, trying again');
        const askedForMs = error instanceof StoreError ? Math.min(error.retryAfterMs ?? 0, LONGEST_PAUSE_MS) : 0;
        await pause(Math.max(askedForMs, backOffDelayMs(failures, BACK_OFF, Math.random)), this.#stop.signal);
      }
    }
  }

  async #sendBatch(signal: AbortSignal): Promise<void> {
    const batch = this.#waiting.slice(0, BATCH);
    const refused = await publishBatch(this.#props.publisher, batch.map(toMessage), signal);
    this.#waiting.splice(0, batch.length);
    for (const event of batch) if (refused.has(event.id)) this.drop(event.type, 'Refused');
  }

  /** Sends what it can in 2 s; the rest is dropped. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    const lastCall = AbortSignal.timeout(LAST_SEND_MS);
    try {
      while (this.#waiting.length > 0) await this.#sendBatch(lastCall);
    } catch (error) {
      this.#props.logger.warn({ err: error, events: this.#waiting.length }, 'events of downloads and logins were not sent before the end');
    }
    for (const event of this.#waiting.splice(0)) this.drop(event.type, 'Stopped');
  }
}
