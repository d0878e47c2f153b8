export interface BackoffProps {
  readonly baseMs: number;
  readonly capMs: number;
  /** In [0, 1). */
  readonly random: () => number;
}

/** Doubles from `baseMs` up to `capMs`; half of the wait is random, so that pods do not come back all at once. */
export function backoffMs(attempt: number, { baseMs, capMs, random }: BackoffProps): number {
  const full = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return full / 2 + (random() * full) / 2;
}
