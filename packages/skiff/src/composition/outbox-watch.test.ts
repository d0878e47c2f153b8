import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OutboxStatus } from '@skiff/database/operation-log';
import { StoreError } from '@skiff/model/store-error';
import { createMetrics } from '@skiff/runtime/metrics';
import { OutboxWatch } from './outbox-watch.ts';

function watched() {
  let now = 1_000;
  let answer: OutboxStatus | undefined;
  const read = () => (answer === undefined ? Promise.reject(new StoreError({ code: 'unavailable', message: 'away' })) : Promise.resolve(answer));
  const watch = new OutboxWatch({ clock: { now: () => new Date(0), monotonicMs: () => now }, read });
  const metrics = createMetrics({ defaults: false });
  watch.register(metrics);
  return {
    watch,
    pass: (ms: number) => (now += ms),
    holds: (status: OutboxStatus | undefined) => (answer = status),
    async gauge(name: string): Promise<number> {
      const value = new RegExp(`^skiff_outbox_${name} (.*)$`, 'm').exec(await metrics.text())?.[1];
      assert.ok(value !== undefined, name);
      return Number(value);
    },
  };
}

test('the oldest event is 0 seconds old when none waits, however long ago that was seen', async () => {
  const { watch, pass, holds, gauge } = watched();
  assert.equal(await gauge('oldest_age_seconds'), 0);
  holds({ waiting: 0, oldestAgeMs: 0, refused: 0 });
  await watch.refresh();
  pass(600_000);
  assert.deepEqual([await gauge('oldest_age_seconds'), await gauge('events')], [0, 0]);
});

test('an event that waits grows older while the database cannot be reached, and the gauges say since when that is', async () => {
  const { watch, pass, holds, gauge } = watched();
  holds({ waiting: 3, oldestAgeMs: 2_500, refused: 1 });
  await watch.refresh();
  assert.deepEqual([await gauge('oldest_age_seconds'), await gauge('events'), await gauge('refused_events')], [2.5, 3, 1]);
  holds(undefined);
  pass(90_000);
  await assert.rejects(watch.refresh());
  assert.deepEqual([await gauge('oldest_age_seconds'), await gauge('read_age_seconds')], [92.5, 90]);
  holds({ waiting: 0, oldestAgeMs: 0, refused: 0 });
  await watch.refresh();
  assert.deepEqual([await gauge('oldest_age_seconds'), await gauge('read_age_seconds')], [0, 0]);
});

test('a server that has never read its outbox says so', async () => {
  const { pass, gauge } = watched();
  pass(61_000);
  assert.equal(await gauge('read_age_seconds'), 61);
});
