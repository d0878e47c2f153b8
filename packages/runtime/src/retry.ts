import { isTransient } from '@skiff/model/store-error';
import { sleep } from './abort.ts';

export interface BackOff {
  /** Upper end of the first wait, in milliseconds; it doubles with each attempt. */
  readonly minDelayMs: number;
  /** No wait is longer, whatever is asked for by `retryAfterMs`. */
  readonly maxDelayMs: number;
}

export interface RetryOptions extends BackOff {
  /** Attempts altogether. */
  readonly maxAttempts: number;
  readonly signal: AbortSignal;
  /** Default: errors that may pass (`isTransient`). */
  readonly isRetryable?: (error: unknown) => boolean;
  /** Told before each wait. */
  readonly onRetry?: (retry: { readonly error: unknown; readonly attempt: number; readonly delayMs: number }) => void;
  /** In [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
}

/**
 * Wait after failed attempt number `attempt` (from 1): between half and all of the doubled minimum, so that many who failed
 * together do not come back together, yet nobody hammers.
 */
export function backOffDelayMs(attempt: number, { minDelayMs, maxDelayMs }: BackOff, random: () => number): number {
  const full = Math.min(minDelayMs * 2 ** Math.min(attempt - 1, 30), maxDelayMs);
  return Math.round(full * (0.5 + 0.5 * random()));
}

/**
 * Tries until it succeeds, the attempts are used up or an error will not pass; then the last error is thrown as it is. A
 * `retryAfterMs` on the error (from `Retry-After`) is waited for at least; if it is beyond `maxDelayMs`, there is no further attempt,
 * since coming back earlier than asked makes throttling worse.
 */
export async function retry<Result>(options: RetryOptions, operation: (attempt: number) => Promise<Result>): Promise<Result> {
  const { maxAttempts, maxDelayMs, signal, isRetryable = isTransient, onRetry, random = Math.random } = options;
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await operation(attempt);
    } catch (error) {
      const askedMs = retryAfterOf(error);
      if (attempt >= maxAttempts || signal.aborted || askedMs > maxDelayMs || !isRetryable(error)) throw error;
      const delayMs = Math.max(backOffDelayMs(attempt, options, random), askedMs);
      onRetry?.({ error, attempt, delayMs });
      await sleep(delayMs, signal);
    }
  }
}

function retryAfterOf(error: unknown): number {
  return error instanceof Error && 'retryAfterMs' in error && typeof error.retryAfterMs === 'number' ? error.retryAfterMs : 0;
}
