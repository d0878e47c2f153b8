import { StoreError } from '@skiff/model/store-error';
import type { Logger } from '@skiff/runtime/logger';
import type { BackOff } from '@skiff/runtime/retry';
import { retryDelayMs } from './back-off.ts';
import type { CancelTimer, Clock } from './clock.ts';

export interface ReconcileResult {
  /** Look at this key again after so long, ms; at most a day, since an early look does no harm. */
  readonly requeueAfterMs?: number | undefined;
}

/**
 * Brings the world in line with what the stores say about `key` now. It is told a name, never what happened: it may run for
 * nothing, run twice, or see several changes at once. It throws to be called again later.
 */
export type Reconcile = (key: string, signal: AbortSignal) => Promise<ReconcileResult | undefined>;

/** Thrown by a reconcile when trying again cannot help: the key waits for its next change. */
export class TerminalError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TerminalError';
  }
}

export interface WorkQueueProps {
  readonly name: string;
  readonly reconcile: Reconcile;
  /** Keys worked on at a time. Default 4. */
  readonly concurrency?: number;
  readonly backOff?: BackOff;
  /** Distinct keys held. Default 200,000. */
  readonly maxKeys?: number;
  readonly clock: Clock;
  /** Gives [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
}

export interface WorkQueueStatus {
  readonly ready: number;
  readonly active: number;
  /** Keys that wait for a time: after a failure, or because they asked for it. */
  readonly waiting: number;
  readonly reconciles: number;
  readonly failures: number;
}

const DEFAULT_BACK_OFF: BackOff = { minDelayMs: 200, maxDelayMs: 5 * 60_000 };
/** A timer of more than 2^31 ms would fire at once. */
const MAX_DELAY_MS = 24 * 60 * 60_000;

/** Keyed work: a key is queued once however often it is added, is never worked on twice at a time, and is worked on after its last add. */
export class WorkQueue {
  readonly #props: Required<WorkQueueProps>;
  /** In order of arrival. */
  readonly #ready = new Set<string>();
  readonly #active = new Set<string>();
  /** Added while active: once more when that ends. */
  readonly #again = new Set<string>();
  readonly #retries = new Map<string, CancelTimer>();
  readonly #delayed = new Map<string, { readonly dueMs: number; readonly cancel: CancelTimer }>();
  readonly #failuresInRow = new Map<string, number>();
  readonly #abort = new AbortController();
  readonly #counts = { reconciles: 0, failures: 0 };
  #state: 'held' | 'running' | 'stopped' = 'held';
  #idle: (() => void) | undefined;

  constructor(props: WorkQueueProps) {
    const defaults = { concurrency: 4, backOff: DEFAULT_BACK_OFF, maxKeys: 200_000 };
    this.#props = { ...defaults, ...props, logger: props.logger.child({ queue: props.name }) };
  }

  /** Begins to work; keys added before have waited. Once. */
  start(): void {
    if (this.#state === 'held') this.#state = 'running';
    this.#pump();
  }

  /**
   * Work on `key` soon. Ignored after {@link stop}.
   * @throws {StoreError} `unavailable` when the queue is full; an informer delivers such a key again.
   */
  add(key: string): void {
    if (this.#state === 'stopped') return;
    if (this.#active.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#admit(key);
    this.#ready.add(key);
    this.#pump();
  }

  /** {@link add} after a time; of several waits for a key the earliest counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#state === 'stopped') return;
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    const { clock } = this.#props;
    const boundedMs = Math.min(delayMs, MAX_DELAY_MS);
    const dueMs = clock.nowMs() + boundedMs;
    const before = this.#delayed.get(key);
    if (before !== undefined && before.dueMs <= dueMs) return;
    if (before === undefined) this.#admit(key);
    before?.cancel();
    const cancel = clock.schedule(boundedMs, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { dueMs, cancel });
  }

  /** The object is gone: drops its waits and the memory of its failures. Work that is queued still happens. */
  forget(key: string): void {
    this.#failuresInRow.delete(key);
    this.#cancelRetry(key);
    this.#delayed.get(key)?.cancel();
    this.#delayed.delete(key);
  }

  get status(): WorkQueueStatus {
    return { ...this.#counts, ready: this.#ready.size, active: this.#active.size, waiting: this.#retries.size + this.#delayed.size };
  }

  /**
   * Takes no more keys, drops those that wait (whoever comes next looks at all of them), and resolves when the work under
   * way has ended. Its signal is aborted after `graceMs`.
   */
  async stop(graceMs: number): Promise<void> {
    this.#state = 'stopped';
    this.#ready.clear();
    this.#again.clear();
    for (const cancel of this.#retries.values()) cancel();
    this.#retries.clear();
    for (const { cancel } of this.#delayed.values()) cancel();
    this.#delayed.clear();
    if (this.#active.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#idle = resolve;
    if (graceMs <= 0) this.#abort.abort();
    const cancel = this.#props.clock.schedule(graceMs, () => this.#abort.abort());
    await promise;
    cancel();
  }

  #admit(key: string): void {
    const held = this.#ready.size + this.#active.size + this.#retries.size + this.#delayed.size;
    if (held < this.#props.maxKeys || this.#ready.has(key) || this.#retries.has(key) || this.#delayed.has(key)) return;
    throw new StoreError({ code: 'unavailable', message: `work queue ${this.#props.name} is full` });
  }

  #pump(): void {
    while (this.#state === 'running' && this.#active.size < this.#props.concurrency) {
      const [key] = this.#ready;
      if (key === undefined) return;
      this.#ready.delete(key);
      this.#active.add(key);
      void this.#work(key);
    }
  }

  async #work(key: string): Promise<void> {
    this.#counts.reconciles++;
    // The work sees everything that led to the retry.
    this.#cancelRetry(key);
    try {
      const result = await this.#props.reconcile(key, this.#abort.signal);
      this.#failuresInRow.delete(key);
      this.#release(key);
      if (result?.requeueAfterMs !== undefined) this.addAfter(key, result.requeueAfterMs);
    } catch (error) {
      this.#release(key);
      this.#afterFailure(key, error);
    }
    this.#pump();
    if (this.#active.size === 0) this.#idle?.();
  }

  #release(key: string): void {
    this.#active.delete(key);
    if (this.#again.delete(key)) this.#ready.add(key);
  }

  #afterFailure(key: string, error: unknown): void {
    if (this.#state === 'stopped') return;
    const { logger, clock, random, backOff } = this.#props;
    this.#counts.failures++;
    if (error instanceof TerminalError) {
      this.#failuresInRow.delete(key);
      logger.error({ err: error, key }, 'reconcile failed for good');
      return;
    }
    const failures = (this.#failuresInRow.get(key) ?? 0) + 1;
    this.#failuresInRow.set(key, failures);
    const delayMs = retryDelayMs(error, failures, backOff, random);
    logger.warn({ err: error, key, failures, delayMs }, 'reconcile failed, it is tried again');
    this.#retries.set(
      key,
      clock.schedule(delayMs, () => {
        this.#retries.delete(key);
        this.add(key);
      }),
    );
  }

  #cancelRetry(key: string): void {
    this.#retries.get(key)?.();
    this.#retries.delete(key);
  }
}
