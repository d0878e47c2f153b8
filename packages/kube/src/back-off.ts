import { StoreError } from '@skiff/model/store-error';
import { type BackOff, backOffDelayMs } from '@skiff/runtime/retry';

/** Wait after `failures` failed attempts (1 or more), not before the time that the server named in `Retry-After`, itself bounded by the cap. */
export function retryDelayMs(error: unknown, failures: number, limits: BackOff, random: () => number): number {
  const asked = error instanceof StoreError ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(backOffDelayMs(failures, limits, random), Math.min(asked, limits.maxDelayMs));
}
