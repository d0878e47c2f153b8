import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describeEventBus } from './event-bus.contract.ts';
import type { OutgoingMessage } from './event-bus.ts';
import { createMemoryBus } from './memory-bus.ts';

const message: OutgoingMessage = { messageId: 'm1', contentType: 'application/json', subject: 's', body: Buffer.from('{}'), properties: {} };

describeEventBus('memory', async () => {
  const bus = createMemoryBus();
  return {
    publisher: bus.publisher,
    consumer: (concurrency) => bus.consumer({ concurrency }),
    deadLetters: async () => bus.deadLetters.map((letter) => ({ messageId: letter.message.messageId, reason: letter.reason })),
    close: () => bus.publisher.close(),
  };
});

describe('memory bus', () => {
  test('fails a publish as unavailable during an outage and delivers nothing until it ends', async () => {
    const bus = createMemoryBus();
    const consumer = bus.consumer();
    await bus.publisher.publish([message], AbortSignal.timeout(1_000));
    bus.outage(true);
    await assert.rejects(bus.publisher.publish([message], AbortSignal.timeout(1_000)), { code: 'unavailable' });
    const handled = Promise.withResolvers<string | undefined>();
    let calls = 0;
    await consumer.start(async ({ messageId }) => {
      calls++;
      handled.resolve(messageId);
      return { kind: 'complete' };
    });
    assert.equal(calls, 0);
    assert.equal(bus.pending.length, 1);
    bus.outage(false);
    assert.equal(await handled.promise, 'm1');
    await consumer.stop(AbortSignal.timeout(1_000));
    assert.equal(bus.pending.length, 0);
  });

  test('sets a message aside after the last delivery', async () => {
    const bus = createMemoryBus({ maxDeliveryCount: 2 });
    const consumer = bus.consumer();
    let calls = 0;
    await bus.publisher.publish([message], AbortSignal.timeout(1_000));
    const twice = Promise.withResolvers<void>();
    await consumer.start(async () => {
      if (++calls === 2) twice.resolve();
      return { kind: 'abandon' };
    });
    await twice.promise;
    await consumer.stop(AbortSignal.timeout(1_000));
    assert.deepEqual(
      bus.deadLetters.map((letter) => letter.reason),
      ['MaxDeliveryCountExceeded'],
    );
  });

  test('takes an id again once the duplicate window is over', async () => {
    let now = 0;
    const bus = createMemoryBus({ duplicateWindowMs: 1_000, now: () => now });
    for (const at of [0, 999, 1_001]) {
      now = at;
      await bus.publisher.publish([message], AbortSignal.timeout(1_000));
    }
    assert.equal(bus.pending.length, 2);
  });

  test('refuses what its bound has no room for as throttled', async () => {
    const bus = createMemoryBus({ maxMessages: 1 });
    await bus.publisher.publish([message], AbortSignal.timeout(1_000));
    await assert.rejects(bus.publisher.publish([{ ...message, messageId: 'm2' }], AbortSignal.timeout(1_000)), { code: 'throttled' });
  });
});
