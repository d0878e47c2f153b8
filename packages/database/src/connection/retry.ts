import { setTimeout as sleep } from 'node:timers/promises';
import { isConnectionLost, isRolledBack } from './database-error.ts';

const MAX_ATTEMPTS = 8;
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 200;
const MAX_RECONNECTS = 2;

/**
 * Runs a transaction again when the server chose it as the victim of a deadlock. With `idempotent`, also when the connection
 * broke and it is unknown whether the COMMIT took effect: at most twice, for an outage is the caller's to wait for.
 */
export async function withRetries<Result>(
  run: () => Promise<Result>,
  options: { readonly idempotent: boolean; readonly signal?: AbortSignal | undefined },
): Promise<Result> {
  let pause = FIRST_PAUSE_MS;
  let reconnects = 0;
  for (let attempt = 1; ; attempt++) {
    options.signal?.throwIfAborted();
    try {
      return await run();
    } catch (error) {
      const again = isRolledBack(error) || (options.idempotent && isConnectionLost(error) && ++reconnects <= MAX_RECONNECTS);
      if (!again || attempt >= MAX_ATTEMPTS) throw error;
      await sleep(pause * (0.5 + Math.random()), undefined, options.signal === undefined ? {} : { signal: options.signal });
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }
}
