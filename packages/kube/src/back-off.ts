import { StoreError } from '@skiff/model/store-error';

export interface BackOffLimits {
  readonly firstMs: number;
  readonly capMs: number;
}

/**
 * Wait before the next attempt after `failures` failed ones (1 or more): exponential with "equal jitter", so that it is
 * at least half of the nominal wait and never above the cap. `random` gives [0, 1).
 */
export function backOffMs(failures: number, limits: BackOffLimits, random: () => number): number {
  // 2^30 is beyond any cap; larger exponents would become Infinity.
  const nominal = Math.min(limits.capMs, limits.firstMs * 2 ** Math.min(30, Math.max(0, failures - 1)));
  return nominal / 2 + (nominal / 2) * random();
}

/** As {@link backOffMs}, but not before the time that the server named in `Retry-After`, itself bounded by the cap. */
export function retryDelayMs(error: unknown, failures: number, limits: BackOffLimits, random: () => number): number {
  const asked = error instanceof StoreError ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(backOffMs(failures, limits, random), Math.min(asked, limits.capMs));
}
