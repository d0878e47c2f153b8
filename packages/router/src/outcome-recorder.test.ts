import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DeliveryResult } from '@skiff/database/delivery-log';
import { StoreError } from '@skiff/model/store-error';
import { silentLogger } from '@skiff/runtime/logger';
import { OutcomeRecorder } from './outcome-recorder.ts';
import { noRouterMetrics } from './router-metrics.ts';
import { eventually } from './router-rig.fake.ts';

const result = (index: number): DeliveryResult => ({
  endpointId: 1,
  eventId: `e${index}`,
  route: 'team/r',
  target: 'app',
  state: 'succeeded',
  attempt: 1,
  detail: '',
});

function rig(options: { readonly maxBuffered?: number } = {}) {
  const seen = { batches: [] as number[], order: [] as string[], dropped: 0, failure: undefined as Error | undefined };
  const recorder = new OutcomeRecorder({
    deliveries: {
      async record(results) {
        if (seen.failure !== undefined) throw seen.failure;
        seen.batches.push(results.length);
        seen.order.push(...results.map(({ eventId }) => eventId));
      },
    },
    logger: silentLogger,
    metrics: {
      ...noRouterMetrics,
      recordsDropped: (count) => {
        seen.dropped += count;
      },
    },
    flushMs: 10,
    ...options,
  });
  return { seen, recorder };
}

describe('outcome recorder', () => {
  it('writes in batches of bounded size, in order', async () => {
    const { seen, recorder } = rig();
    for (let index = 0; index < 1200; index++) recorder.add(result(index));
    await eventually('all are written', () => seen.order.length === 1200);
    assert.ok(seen.batches.length <= 4 && Math.max(...seen.batches) <= 500, String(seen.batches));
    assert.deepEqual(
      seen.order,
      Array.from({ length: 1200 }, (_, index) => `e${index}`),
    );
  });

  it('keeps outcomes while the database is away, within its bound, and counts what is lost', async () => {
    const { seen, recorder } = rig({ maxBuffered: 100 });
    seen.failure = new StoreError({ code: 'unavailable', message: 'down' });
    for (let index = 0; index < 100; index++) recorder.add(result(index), true);
    assert.equal(seen.dropped, 20);
    for (let index = 0; index < 30; index++) recorder.add(result(index));
    assert.equal(seen.dropped, 30);
    await new Promise((resolve) => setTimeout(resolve, 30));
    seen.failure = undefined;
    await eventually('the rest is written', () => seen.order.length === 100);
  });

  it('drops and counts a batch that the database refuses for good', async () => {
    const { seen, recorder } = rig();
    seen.failure = new StoreError({ code: 'invalid', message: 'refused' });
    recorder.add(result(1));
    await eventually('it is dropped', () => seen.dropped === 1);
    seen.failure = undefined;
    recorder.add(result(2));
    await eventually('the next is written', () => seen.order.length === 1);
  });

  it('writes what is left when it closes, and does not wait for a database that is away', async () => {
    const { seen, recorder } = rig();
    recorder.add(result(1));
    await recorder.close(AbortSignal.timeout(1000));
    assert.deepEqual(seen.order, ['e1']);
    const other = rig();
    other.seen.failure = new StoreError({ code: 'unavailable', message: 'down' });
    other.recorder.add(result(1));
    await other.recorder.close(AbortSignal.timeout(1000));
    assert.equal(other.seen.dropped, 1);
  });
});
