import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { backoffMs } from './backoff.ts';

test('a back-off is at least half of its step and never above its cap', () => {
  fc.assert(
    fc.property(
      fc.nat(1_000),
      fc.integer({ min: 1, max: 1_000 }),
      fc.integer({ min: 1, max: 60_000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (attempt, baseMs, capMs, random) => {
        const ms = backoffMs(attempt, { baseMs, capMs, random: () => random });
        const step = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
        assert.ok(ms >= step / 2 && ms <= capMs);
      },
    ),
  );
});
