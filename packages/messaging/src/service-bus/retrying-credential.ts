import { setTimeout as delay } from 'node:timers/promises';
import { backOffDelayMs } from '@skiff/runtime/retry';
import type { ServiceBusTokenCredential } from './service-bus-options.ts';

const ATTEMPTS = 4;
const BACKOFF = { minDelayMs: 200, maxDelayMs: 2_000 };
const ATTEMPT_TIMEOUT_MS = 10_000;

/**
 * Asks again when the token service does not answer. `@azure/service-bus` 7.9.5 gives up renewing a link's token after one
 * failure (azure-sdk-for-js#38467), so a short outage must not reach it. A longer one does; then the link ends at the
 * token's expiry and the client is replaced.
 */
export function retryingCredential(credential: ServiceBusTokenCredential): ServiceBusTokenCredential {
  return {
    getToken: async (scopes) => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await withTimeout(credential, scopes);
        } catch (error) {
          if (attempt === ATTEMPTS) throw error;
          await delay(backOffDelayMs(attempt, BACKOFF, Math.random));
        }
      }
    },
  };
}

async function withTimeout(credential: ServiceBusTokenCredential, scopes: string | string[]): ReturnType<ServiceBusTokenCredential['getToken']> {
  const stop = new AbortController();
  const late = delay(ATTEMPT_TIMEOUT_MS, undefined, { signal: stop.signal }).then(() => {
    throw new Error('no token in time');
  });
  try {
    return await Promise.race([credential.getToken(scopes, { abortSignal: AbortSignal.timeout(ATTEMPT_TIMEOUT_MS) }), late]);
  } finally {
    late.catch(() => 'the timer was stopped');
    stop.abort();
  }
}
