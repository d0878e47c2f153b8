import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import { silentLogger } from '@skiff/runtime/logger';
import fc from 'fast-check';
import { FakeClock, settle } from './testing/fake-clock.ts';
import { type Reconcile, TerminalError, WorkQueue, type WorkQueueProps } from './work-queue.ts';

function queueOf(reconcile: Reconcile, props: Partial<WorkQueueProps> = {}): { readonly queue: WorkQueue; readonly clock: FakeClock } {
  const clock = new FakeClock();
  const queue = new WorkQueue({ name: 'test', reconcile, clock, random: () => 1, logger: silentLogger, ...props });
  return { queue, clock };
}

const failing = () => Promise.reject(new Error('scripted'));

describe('work queue', () => {
  it('runs a key once however often it was added before', async () => {
    const seen: string[] = [];
    const { queue } = queueOf(async (key) => {
      seen.push(key);
      return undefined;
    });
    for (const key of ['a', 'b', 'a', 'a']) queue.add(key);
    queue.start();
    await settle();
    assert.deepEqual(seen, ['a', 'b']);
  });

  it('retries a failure after growing waits, never more than five minutes', async () => {
    const times: number[] = [];
    const { queue, clock } = queueOf(() => {
      times.push(clock.nowMs());
      return failing();
    });
    queue.start();
    queue.add('a');
    await clock.advance(3_600_000);
    const waits = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    assert.deepEqual(waits.slice(0, 4), [200, 400, 800, 1_600]);
    assert.equal(Math.max(...waits), 300_000);
    assert.equal(waits.at(-1), 300_000);
    await queue.stop(0);
    assert.equal(clock.pending, 0);
  });

  it('starts with the short wait again after a success', async () => {
    const times: number[] = [];
    const { queue, clock } = queueOf(() => {
      times.push(clock.nowMs());
      return times.length === 3 ? Promise.resolve(undefined) : failing();
    });
    queue.start();
    queue.add('a');
    await clock.advance(1_000);
    queue.add('a');
    await clock.advance(250);
    assert.equal(times.length, 5);
    assert.equal((times[4] ?? 0) - (times[3] ?? 0), 200);
  });

  it('waits as long as Retry-After says', async () => {
    const times: number[] = [];
    const { queue, clock } = queueOf(() => {
      times.push(clock.nowMs());
      return Promise.reject(new StoreError({ code: 'throttled', message: 'scripted', retryAfterMs: 7_000 }));
    });
    queue.start();
    queue.add('a');
    await clock.advance(7_500);
    assert.equal((times[1] ?? 0) - (times[0] ?? 0), 7_000);
  });

  it('does not retry a terminal error, until the key is added again', async () => {
    let runs = 0;
    const { queue, clock } = queueOf(() => {
      runs++;
      return Promise.reject(new TerminalError('scripted'));
    });
    queue.start();
    queue.add('a');
    await clock.advance(3_600_000);
    assert.equal(runs, 1);
    queue.add('a');
    await settle();
    assert.equal(runs, 2);
  });

  it('comes back when a reconcile asks for it, even in a month', async () => {
    const month = 30 * 24 * 3_600_000;
    let runs = 0;
    const { queue, clock } = queueOf(async () => {
      runs++;
      return { requeueAfterMs: Math.max(0, month + 1_000 - clock.nowMs()) || undefined };
    });
    queue.start();
    queue.add('a');
    await clock.advance(month + 1_000);
    // Once a day at most: a longer timer would fire at once.
    assert.ok(runs >= 30 && runs <= 32, `${runs} runs`);
    assert.equal(queue.status.waiting, 0);
  });

  it('forgets the waits and failures of a key', async () => {
    let runs = 0;
    const { queue, clock } = queueOf(() => {
      runs++;
      return failing();
    });
    queue.start();
    queue.add('a');
    queue.addAfter('a', 500);
    await settle();
    queue.forget('a');
    await clock.advance(3_600_000);
    assert.equal(runs, 1);
  });

  it('refuses a key above its bound, but not one that it holds', () => {
    const { queue } = queueOf(async () => undefined, { maxKeys: 2 });
    queue.add('a');
    queue.addAfter('b', 1_000);
    assert.throws(
      () => queue.add('c'),
      (error) => error instanceof StoreError && error.code === 'unavailable',
    );
    queue.add('a');
    queue.add('b');
  });

  it('stop waits for the work under way, aborts it after the grace, and begins no other', async () => {
    const seen: string[] = [];
    const { queue, clock } = queueOf(
      (key, signal) => {
        seen.push(key);
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
      },
      { concurrency: 1 },
    );
    queue.start();
    queue.add('a');
    queue.add('b');
    let stopped = false;
    const stopping = queue.stop(1_000).then(() => {
      stopped = true;
    });
    await clock.advance(999);
    assert.equal(stopped, false);
    await clock.advance(1);
    await stopping;
    queue.add('c');
    await clock.advance(10_000);
    assert.deepEqual(seen, ['a']);
  });

  it('never works on one key twice at a time, and works on each after its last add, whatever the order', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), key: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ kind: fc.constant('addAfter' as const), key: fc.integer({ min: 0, max: 5 }), ms: fc.integer({ min: 0, max: 3_000 }) }),
      fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 2_000 }) }),
    );
    const outcome = fc.record({ ms: fc.integer({ min: 0, max: 1_500 }), fails: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.array(outcome, { maxLength: 40 }),
        fc.integer({ min: 1, max: 4 }),
        async (steps, outcomes, concurrency) => {
          const active = new Set<string>();
          const lastStart = new Map<string, number>();
          const lastAdd = new Map<string, number>();
          let order = 0;
          const script = [...outcomes];
          const { queue, clock } = queueOf(
            async (key) => {
              assert.ok(!active.has(key), 'two workers on one key');
              active.add(key);
              assert.ok(active.size <= concurrency, 'too many workers');
              lastStart.set(key, ++order);
              const { ms, fails } = script.shift() ?? { ms: 0, fails: false };
              await new Promise<void>((resolve) => clock.schedule(ms, resolve));
              active.delete(key);
              if (fails) throw new Error('scripted');
              return undefined;
            },
            { concurrency },
          );
          queue.start();
          for (const one of steps) {
            if (one.kind === 'advance') {
              await clock.advance(one.ms);
              continue;
            }
            lastAdd.set(String(one.key), ++order);
            if (one.kind === 'add') queue.add(String(one.key));
            else queue.addAfter(String(one.key), one.ms);
          }
          await clock.advance(3_600_000);
          for (const [key, added] of lastAdd) assert.ok((lastStart.get(key) ?? 0) > added, `key ${key} was not worked on after its last add`);
          assert.deepEqual({ ...queue.status, reconciles: 0, failures: 0 }, { ready: 0, active: 0, waiting: 0, reconciles: 0, failures: 0 });
        },
      ),
      { numRuns: 150 },
    );
  });
});
