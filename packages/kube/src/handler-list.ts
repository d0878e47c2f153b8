import type { Logger } from '@skiff/runtime/logger';
import type { CancelTimer, Clock } from './clock.ts';

/** Usually `(key) => queue.add(key)`. */
export type KeyHandler = (key: string) => void;

const REDELIVER_MS = 1_000;

/** Tells handlers about keys; one that throws (a full queue) gets the key again a second later, until it takes it. */
export class HandlerList {
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Keys that a handler still has to take; a key is in it once, so the number of objects is the bound. */
  readonly #refused = new Map<KeyHandler, Set<string>>();
  #cancel: CancelTimer | undefined;

  constructor(props: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = props.clock;
    this.#logger = props.logger;
  }

  /** Gets all keys that are there already, and those to come. */
  add(handler: KeyHandler, keys: readonly string[]): () => void {
    this.#refused.set(handler, new Set());
    for (const key of keys) this.#deliver(handler, key);
    return () => this.#refused.delete(handler);
  }

  emit(key: string): void {
    for (const handler of this.#refused.keys()) this.#deliver(handler, key);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #deliver(handler: KeyHandler, key: string): void {
    try {
      handler(key);
      this.#refused.get(handler)?.delete(key);
    } catch (error) {
      this.#refused.get(handler)?.add(key);
      if (this.#cancel !== undefined) return;
      this.#logger.warn({ err: error, key }, 'a handler refused a key, it gets it again');
      this.#cancel = this.#clock.schedule(REDELIVER_MS, () => this.#redeliver());
    }
  }

  #redeliver(): void {
    this.#cancel = undefined;
    for (const [handler, keys] of this.#refused) for (const key of [...keys]) this.#deliver(handler, key);
  }
}
