import { backOffDelayMs } from '@skiff/runtime/retry';

/** How one run of a key ended. */
export type RunOutcome = 'done' | 'retry';

export interface KeyedQueueOptions {
  /** Brings what the key names to its desired state. Sees a key, never an event. Must not throw. */
  readonly run: (key: string, signal: AbortSignal) => Promise<RunOutcome>;
  /** Keys worked on at a time. */
  readonly concurrency: number;
  /** Between 0 and 1, for jitter. */
  readonly random: () => number;
}

/** First wait after a failure and the longest, in milliseconds; doubled in between, the upper half of it random. */
const BACK_OFF = { minDelayMs: 250, maxDelayMs: 15_000 } as const;

interface Entry {
  /** Added again while it ran. */
  dirty: boolean;
  running: boolean;
  failures: number;
  /** Set while the key waits for its next attempt. */
  timer: NodeJS.Timeout | undefined;
}

/**
 * Runs keys in the order they came and no key twice at a time. Adding a key that waits costs nothing; one that is running runs
 * once more afterwards; one that waits for its next attempt goes on waiting, so that a flood of news is no flood of attempts.
 * Bounded by the number of keys: it holds no events.
 */
export class KeyedQueue {
  readonly #options: KeyedQueueOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #ready = new Set<string>();
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(options: KeyedQueueOptions) {
    this.#options = options;
  }

  /** Keys that wait, run or are to be tried again. */
  get size(): number {
    return this.#entries.size;
  }

  /** Of these the ones that wait for their next attempt. */
  get retrying(): number {
    let count = 0;
    for (const { timer } of this.#entries.values()) if (timer !== undefined) count += 1;
    return count;
  }

  add(key: string): void {
    if (this.#stopping.signal.aborted) return;
    const entry = this.#entries.get(key);
    if (entry === undefined) this.#entries.set(key, { dirty: false, running: false, failures: 0, timer: undefined });
    else if (entry.running) entry.dirty = true;
    if (entry?.running === true || entry?.timer !== undefined) return;
    this.#ready.add(key);
    this.#pump();
  }

  /** Takes no more keys, aborts what runs and waits for it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const entry of this.#entries.values()) clearTimeout(entry.timer);
    this.#ready.clear();
    await Promise.all(this.#running);
    this.#entries.clear();
  }

  #pump(): void {
    for (const key of this.#ready) {
      if (this.#running.size >= this.#options.concurrency) return;
      this.#ready.delete(key);
      const entry = this.#entries.get(key);
      if (entry === undefined) continue;
      const running: Promise<void> = this.#runOnce(key, entry).finally(() => {
        this.#running.delete(running);
        if (!this.#stopping.signal.aborted) this.#pump();
      });
      this.#running.add(running);
    }
  }

  async #runOnce(key: string, entry: Entry): Promise<void> {
    entry.dirty = false;
    entry.running = true;
    const outcome = await this.#options.run(key, this.#stopping.signal);
    entry.running = false;
    if (this.#stopping.signal.aborted) return;
    if (outcome === 'retry') {
      entry.timer = setTimeout(
        () => {
          entry.timer = undefined;
          this.#ready.add(key);
          this.#pump();
        },
        backOffDelayMs(entry.failures + 1, BACK_OFF, this.#options.random),
      );
      entry.failures += 1;
    } else if (entry.dirty) {
      entry.failures = 0;
      this.#ready.add(key);
    } else {
      this.#entries.delete(key);
    }
  }
}
