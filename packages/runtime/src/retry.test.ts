import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import fc from 'fast-check';
import { backOffDelayMs, retry } from './retry.ts';

const unavailable = (retryAfterMs?: number) => new StoreError({ code: 'unavailable', message: 'away', retryAfterMs });
const base = { maxAttempts: 4, minDelayMs: 1, maxDelayMs: 20, signal: new AbortController().signal };

describe('retry', () => {
  it('tries again until it succeeds', async () => {
    const result = await retry(base, (attempt) => (attempt < 3 ? Promise.reject(unavailable()) : Promise.resolve(attempt)));
    assert.equal(result, 3);
  });

  it('gives up after its attempts, with the last error', async () => {
    let calls = 0;
    const last = unavailable();
    await assert.rejects(
      retry(base, () => Promise.reject(++calls === 4 ? last : unavailable())),
      (error) => error === last,
    );
    assert.equal(calls, 4);
  });

  it('does not repeat what will not pass', async () => {
    let calls = 0;
    const denied = new StoreError({ code: 'denied', message: 'no' });
    await assert.rejects(
      retry(base, () => {
        calls++;
        return Promise.reject(denied);
      }),
      (error) => error === denied,
    );
    assert.equal(calls, 1);
  });

  it('waits as long as Retry-After asks, and does not come back early when that is too long', async () => {
    const delays: number[] = [];
    const onRetry = ({ delayMs }: { readonly delayMs: number }) => delays.push(delayMs);
    await retry({ ...base, onRetry }, (attempt) => (attempt === 1 ? Promise.reject(unavailable(15)) : Promise.resolve()));
    assert.deepEqual(delays, [15]);
    await assert.rejects(
      retry({ ...base, onRetry }, () => Promise.reject(unavailable(21))),
      StoreError,
    );
    assert.deepEqual(delays, [15]);
  });

  it('ends while it waits when the signal aborts', async () => {
    const controller = new AbortController();
    const onRetry = () => setImmediate(() => controller.abort(new Error('enough')));
    await assert.rejects(
      retry({ ...base, minDelayMs: 60_000, maxDelayMs: 60_000, signal: controller.signal, onRetry }, () => Promise.reject(unavailable())),
      /enough/,
    );
  });

  it('waits between half and all of a doubling that is capped', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, random) => {
        const full = Math.min(100 * 2 ** Math.min(attempt - 1, 30), 5000);
        const delayMs = backOffDelayMs(attempt, { minDelayMs: 100, maxDelayMs: 5000 }, () => random);
        return delayMs >= full / 2 && delayMs <= full;
      }),
    );
  });
});
