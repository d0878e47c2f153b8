import type { DeliveryLog, DeliveryResult } from '@skiff/database/delivery-log';
import { isTransient } from '@skiff/model/store-error';
import type { Logger } from '@skiff/runtime/logger';
import type { RouterMetrics } from './router-metrics.ts';

export interface OutcomeRecorderProps {
  readonly deliveries: Pick<DeliveryLog, 'record'>;
  readonly logger: Logger;
  readonly metrics: RouterMetrics;
  /** Sees every outcome, also those for which there is no room. */
  readonly onResult?: (result: DeliveryResult) => void;
  readonly flushMs?: number;
  readonly maxBuffered?: number;
}

const MAX_BATCH = 500;
const MAX_PAUSE_MS = 10_000;

/**
 * Writes outcomes in batches, in order, one batch at a time. While the database is away they wait in a bounded buffer. Losing one
 * is harmless: a success is then missing in the history, and a retried delivery comes back when its lease ends. Losses are counted.
 */
export class OutcomeRecorder {
  readonly #props: OutcomeRecorderProps;
  readonly #flushMs: number;
  readonly #maxBuffered: number;
  #buffer: DeliveryResult[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #failures = 0;
  #closed = false;

  constructor(props: OutcomeRecorderProps) {
    this.#props = props;
    this.#flushMs = props.flushMs ?? 500;
    this.#maxBuffered = props.maxBuffered ?? 20_000;
  }

  /** `historyOnly`: nothing but the history is lost without it, so that it makes room for the others. */
  add(result: DeliveryResult, historyOnly = false): void {
    this.#props.onResult?.(result);
    if (result.state === 'dead') this.#props.metrics.dead();
    const room = historyOnly ? this.#maxBuffered * 0.8 : this.#maxBuffered;
    if (this.#closed || this.#buffer.length >= room) {
      this.#props.metrics.recordsDropped(1);
      return;
    }
    this.#buffer.push(result);
    if (this.#buffer.length >= MAX_BATCH && this.#failures === 0) void this.flush();
    else this.#schedule();
  }

  /** Tries to write what is there now, without waiting for company. Never rejects. */
  flush(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      this.#schedule();
    });
    return this.#writing;
  }

  /** Tries to write what is left; gives up at the first failure or when `signal` aborts. */
  async close(signal: AbortSignal): Promise<void> {
    while (this.#buffer.length > 0 && !signal.aborted) {
      await this.flush();
      if (this.#failures > 0) break;
    }
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#buffer.length > 0) this.#props.metrics.recordsDropped(this.#buffer.length);
    this.#buffer = [];
  }

  #schedule(): void {
    if (this.#closed || this.#timer !== undefined || this.#buffer.length === 0) return;
    const pauseMs = Math.min(this.#flushMs * 2 ** Math.min(this.#failures, 10), MAX_PAUSE_MS);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.flush();
    }, pauseMs);
  }

  async #write(): Promise<void> {
    while (this.#buffer.length > 0) {
      const batch = this.#buffer.slice(0, MAX_BATCH);
      try {
        await this.#props.deliveries.record(batch);
        this.#failures = 0;
      } catch (error) {
        if (isTransient(error)) {
          if (this.#failures++ === 0) this.#props.logger.warn({ err: error, waiting: this.#buffer.length }, 'outcomes cannot be recorded');
          return;
        }
        this.#props.logger.error({ err: error, dropped: batch.length }, 'outcomes were refused');
        this.#props.metrics.recordsDropped(batch.length);
      }
      this.#buffer.splice(0, batch.length);
    }
  }
}
