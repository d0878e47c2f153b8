/** Waits. Rejects with the signal's reason as soon as it aborts, and leaves neither timer nor listener behind. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Waits, or until the signal aborts: for loops that look at the signal themselves. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Something took longer than it may. */
export class DeadlineError extends Error {
  readonly code = 'DeadlineExceeded';
  constructor(timeoutMs: number) {
    super(`not done within ${timeoutMs} ms`);
    this.name = 'DeadlineError';
  }
}

export interface DeadlineOptions {
  readonly timeoutMs: number;
  /** Ends the work earlier. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs work under a deadline. The work gets a signal that aborts with the deadline or with the caller's signal; should it not heed
 * it, the promise rejects all the same. Unlike `AbortSignal.any`, nothing stays attached to a long-lived signal afterwards.
 *
 * @throws {DeadlineError} or the signal's reason.
 */
export async function withDeadline<Result>(options: DeadlineOptions, work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const { timeoutMs, signal } = options;
  signal?.throwIfAborted();
  const controller = new AbortController();
  const ended = Promise.withResolvers<never>();
  const end = (reason: unknown): void => {
    controller.abort(reason);
    ended.reject(reason);
  };
  const onAbort = (): void => end(signal?.reason);
  const timer = setTimeout(() => end(new DeadlineError(timeoutMs)), timeoutMs);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work(controller.signal), ended.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}
