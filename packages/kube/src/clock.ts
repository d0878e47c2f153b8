/** Time as the queue, the informers and the election see it; tests bring their own. */
export interface Clock {
  /** Milliseconds of a monotonic clock: no jump of the wall clock shortens a lease or a wait. */
  nowMs(): number;
  /** Wall clock, for what other parties read. Never for a decision. */
  date(): Date;
  /** Calls back once after `delayMs`, unless the returned function is called first. */
  schedule(delayMs: number, callback: () => void): CancelTimer;
}

export type CancelTimer = () => void;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  date: () => new Date(),
  schedule(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`, or at once when `signal` is aborted: the caller looks at the signal. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = () => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.schedule(delayMs, done);
    signal.addEventListener('abort', done, { once: true });
  });
}
