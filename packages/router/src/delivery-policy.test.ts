import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { backoffMs, decide, deliveryPolicyOf } from './delivery-policy.ts';

const policy = { timeoutMs: 30_000, maxAttempts: 10, minBackoffMs: 1000, maxBackoffMs: 600_000 };

describe('delivery policy', () => {
  it('has the defaults of the schema', () => {
    assert.deepEqual(deliveryPolicyOf({ name: 'a' }), policy);
    assert.deepEqual(deliveryPolicyOf({ name: 'a', delivery: { timeoutSeconds: 5, maxAttempts: 2, minBackoffSeconds: 60, maxBackoffSeconds: 30 } }), {
      timeoutMs: 5000,
      maxAttempts: 2,
      minBackoffMs: 60_000,
      maxBackoffMs: 60_000,
    });
  });

  it('doubles the wait, within its bounds, and spreads it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, random) => {
        const wait = backoffMs(attempt, policy, () => random);
        assert.ok(wait >= policy.minBackoffMs && wait <= policy.maxBackoffMs, String(wait));
        const doubled = Math.min(1000 * 2 ** (attempt - 1), policy.maxBackoffMs);
        assert.ok(wait >= doubled * 0.69 && wait <= doubled * 1.31, `${attempt}: ${wait}`);
      }),
    );
    assert.notEqual(
      backoffMs(1, policy, () => 0),
      backoffMs(1, policy, () => 0.9),
    );
    assert.notEqual(
      backoffMs(50, policy, () => 0),
      backoffMs(50, policy, () => 0.9),
    );
  });

  it('never comes back before Retry-After', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.nat(3_600_000),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (attempt, asked, random) => backoffMs(attempt, policy, () => random, asked) >= asked,
      ),
    );
  });

  it('waits until the last attempt, then gives up; a rejection ends it at once', () => {
    assert.equal(decide({ kind: 'retry', reason: 'HTTP 500' }, 9, policy, Math.random).state, 'waiting');
    assert.deepEqual(decide({ kind: 'retry', reason: 'HTTP 500' }, 10, policy, Math.random), { state: 'dead', reason: '10 attempts failed: HTTP 500' });
    assert.deepEqual(decide({ kind: 'rejected', reason: 'HTTP 410' }, 1, policy, Math.random), { state: 'dead', reason: 'rejected: HTTP 410' });
    assert.deepEqual(decide({ kind: 'delivered', detail: 'HTTP 204' }, 1, policy, Math.random), { state: 'succeeded', detail: 'HTTP 204' });
  });
});
