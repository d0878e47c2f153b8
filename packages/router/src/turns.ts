/** Nobody is sent away for longer than this, so that a target that recovers is not left waiting. */
const MAX_WAIT_MS = 60_000;

/**
 * Tells deliveries that found no place when to come again: each gets a turn of its own, as far from the one before as the target
 * can take. A long backlog then does not come back all at once, only to be sent away again.
 */
export class Turns {
  readonly #monotonicMs: () => number;
  readonly #random: () => number;
  #nextAt = 0;

  constructor(monotonicMs: () => number, random: () => number) {
    this.#monotonicMs = monotonicMs;
    this.#random = random;
  }

  /** Milliseconds from now. */
  next(spacingMs: number): number {
    const now = this.#monotonicMs();
    const turn = Math.max(now, this.#nextAt) + spacingMs;
    if (turn - now > MAX_WAIT_MS) return Math.round(MAX_WAIT_MS * (0.5 + 0.5 * this.#random()));
    this.#nextAt = turn;
    return Math.ceil(turn - now);
  }

  /** The target is back: those who come from now on need not queue behind the others. */
  reset(): void {
    this.#nextAt = 0;
  }
}
