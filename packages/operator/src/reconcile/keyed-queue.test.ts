import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../testing/eventually.ts';
import { KeyedQueue, type RunOutcome } from './keyed-queue.ts';

function queueOf(run: (key: string, signal: AbortSignal) => Promise<RunOutcome>, concurrency = 2): KeyedQueue {
  return new KeyedQueue({ run, concurrency, random: () => 0 });
}

test('a key never runs twice at a time, and news during a run are one more run', async () => {
  let running = 0;
  let runs = 0;
  const queue = queueOf(async () => {
    assert.equal(++running, 1);
    runs += 1;
    await sleep(10);
    running -= 1;
    return 'done';
  }, 4);
  queue.add('a');
  for (let count = 0; count < 100; count++) queue.add('a');
  await eventually(() => assert.equal(queue.size, 0));
  assert.equal(runs, 2);
  await queue.stop();
});

test('different keys run side by side, up to the limit and in order', async () => {
  let running = 0;
  let most = 0;
  const order: string[] = [];
  const queue = queueOf(async (key) => {
    order.push(key);
    most = Math.max(most, ++running);
    await sleep(5);
    running -= 1;
    return 'done';
  });
  const keys = Array.from({ length: 20 }, (_, index) => `key${index}`);
  for (const key of keys) queue.add(key);
  await eventually(() => assert.equal(queue.size, 0));
  assert.deepEqual([most, order], [2, keys]);
  await queue.stop();
});

test('a failed key is tried again after a growing wait that news do not shorten, and holds up no other key', async () => {
  const started = performance.now();
  const attempts: number[] = [];
  const queue = queueOf((key) => {
    if (key === 'good') return Promise.resolve('done');
    attempts.push(performance.now() - started);
    return Promise.resolve(attempts.length < 4 ? 'retry' : 'done');
  }, 1);
  queue.add('bad');
  queue.add('good');
  const news = setInterval(() => queue.add('bad'), 5);
  try {
    await eventually(() => assert.ok(attempts.length >= 4));
  } finally {
    clearInterval(news);
  }
  const waits = attempts.slice(1, 4).map((at, index) => at - (attempts[index] ?? 0));
  for (const [index, expectedMs] of [125, 250, 500].entries()) assert.ok((waits[index] ?? 0) >= expectedMs - 5, `waits: ${waits}`);
  await queue.stop();
});

test('stop aborts what runs, waits for it and drops the rest', async () => {
  const runs: string[] = [];
  const queue = queueOf(async (key, signal) => {
    runs.push(key);
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    return 'retry';
  }, 1);
  queue.add('a');
  queue.add('b');
  await queue.stop();
  queue.add('c');
  assert.deepEqual([runs, queue.size], [['a'], 0]);
});

test('tells what waits for its next attempt from what is under way', async () => {
  let fails = true;
  const queue = queueOf(() => Promise.resolve(fails ? 'retry' : 'done'));
  queue.add('a');
  queue.add('b');
  await eventually(() => assert.deepEqual([queue.size, queue.retrying], [2, 2]));
  fails = false;
  await eventually(() => assert.deepEqual([queue.size, queue.retrying], [0, 0]));
  await queue.stop();
});
