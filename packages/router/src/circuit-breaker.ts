export interface CircuitBreakerProps {
  readonly monotonicMs: () => number;
  /** Failures in a row that open the circuit. Default: 5. */
  readonly failureThreshold?: number;
  /** While open: time between two attempts. Default: 100. */
  readonly trickleSpacingMs?: number;
  /** While open: attempts at a time. Default: 2. */
  readonly trickleConcurrency?: number;
}

/** A target may ask for longer pauses of one delivery, but not silence the whole target for longer than this. */
const MAX_PAUSE_MS = 60_000;

/**
 * Once a target has failed several times in a row, it gets a trickle of attempts in place of the full load, until one succeeds.
 * A trickle, and not silence: deliveries to a target that stays broken must reach their last attempt some day, and recovery is seen
 * soon.
 */
export class CircuitBreaker {
  readonly #monotonicMs: () => number;
  readonly #failureThreshold: number;
  /** While open: time between two attempts. */
  readonly trickleSpacingMs: number;
  readonly #trickleConcurrency: number;
  #failures = 0;
  #nextStartAt = 0;

  constructor(props: CircuitBreakerProps) {
    this.#monotonicMs = props.monotonicMs;
    this.#failureThreshold = props.failureThreshold ?? 5;
    this.trickleSpacingMs = props.trickleSpacingMs ?? 100;
    this.#trickleConcurrency = props.trickleConcurrency ?? 2;
  }

  get open(): boolean {
    return this.#failures >= this.#failureThreshold;
  }

  /** True when an attempt may start now beside `running` others; takes the turn. */
  takeTurn(running: number): boolean {
    if (!this.open) return true;
    const now = this.#monotonicMs();
    if (running >= this.#trickleConcurrency || now < this.#nextStartAt) return false;
    this.#nextStartAt = now + this.trickleSpacingMs;
    return true;
  }

  /** How many attempts may start now beside `running` others, of which there may be `limit` together. Takes no turn. */
  room(running: number, limit: number): number {
    if (!this.open) return Math.max(0, limit - running);
    return running < this.#trickleConcurrency && this.#monotonicMs() >= this.#nextStartAt ? 1 : 0;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#nextStartAt = 0;
  }

  failed(retryAfterMs = 0): void {
    this.#failures += 1;
    if (this.open) this.#nextStartAt = Math.max(this.#nextStartAt, this.#monotonicMs() + Math.min(retryAfterMs, MAX_PAUSE_MS));
  }
}
