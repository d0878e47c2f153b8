const MAX_IDS = 1_000_000;

interface Seen {
  readonly at: number;
  /** False while the message itself is not on disk: such an id must not get into a snapshot. */
  durable: boolean;
}

/** The message ids of the last while. */
export class DuplicateWindow {
  readonly #windowMs: number;
  readonly #seen = new Map<string, Seen>();

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** True for an id inside the window; else notes it. */
  isDuplicate(messageId: string | undefined): boolean {
    if (this.#windowMs === 0 || messageId === undefined) return false;
    const now = Date.now();
    for (const [id, { at }] of this.#seen) {
      if (now - at < this.#windowMs && this.#seen.size < MAX_IDS) break;
      this.#seen.delete(id);
    }
    if (this.#seen.has(messageId)) return true;
    this.#seen.set(messageId, { at: now, durable: false });
    return false;
  }

  markDurable(messageId: string | undefined): void {
    const seen = messageId === undefined ? undefined : this.#seen.get(messageId);
    if (seen !== undefined) seen.durable = true;
  }

  restore(messageId: string, at: number): void {
    if (this.#windowMs > 0 && Date.now() - at < this.#windowMs) this.#seen.set(messageId, { at, durable: true });
  }

  *durable(): Iterable<readonly [string, number]> {
    for (const [id, { at, durable }] of this.#seen) if (durable) yield [id, at];
  }
}
