import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ServiceBusClient } from '@azure/service-bus';
import { BusRig } from './bus-rig.ts';

/** So long that a busy machine still acts within it. */
const LOCK_MS = 2_000;
const QUEUES = ['abandon', 'deadletter', 'lock', 'renew', 'slow', 'throws', 'defer'].map((name) => ({ name, lockMs: LOCK_MS, maxDeliveryCount: 3 }));

// Each test has its own queue, so they may run at the same time.
describe('locks of the service bus emulator under the unmodified SDK', { concurrency: 8 }, () => {
  let bus: BusRig;
  before(async () => {
    bus = await BusRig.start({ queues: [...QUEUES, { name: 'ordered', lockMs: 30_000, requiresSession: true }] });
  });
  after(() => bus?.stop());

  test('redelivers an abandoned message with a greater count and dead-letters it after the last delivery', async () => {
    await bus.send('abandon', 'a');
    const receiver = bus.client.createReceiver('abandon');
    const counts: (number | undefined)[] = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      const message = await bus.one(receiver);
      counts.push(message.deliveryCount);
      await receiver.abandonMessage(message, { attempt });
    }
    assert.deepEqual(counts, [0, 1, 2]);
    assert.equal((await receiver.receiveMessages(1, { maxWaitTimeInMs: 200 })).length, 0);
    await receiver.close();
    const deadLetters = bus.client.createReceiver('abandon', { subQueueType: 'deadLetter' });
    const dead = await bus.one(deadLetters);
    await deadLetters.completeMessage(dead);
    await deadLetters.close();
    assert.deepEqual([dead.body, dead.deadLetterReason, dead.applicationProperties?.attempt], ['a', 'MaxDeliveryCountExceeded', 2]);
  });

  test('dead-letters on request with reason, description and properties', async () => {
    await bus.send('deadletter', 'b', { applicationProperties: { kept: 'yes' } });
    const receiver = bus.client.createReceiver('deadletter');
    await receiver.deadLetterMessage(await bus.one(receiver), { deadLetterReason: 'bad', deadLetterErrorDescription: 'why', http: 500 });
    await receiver.close();
    const dead = await bus.one(bus.client.createReceiver('deadletter', { subQueueType: 'deadLetter', receiveMode: 'receiveAndDelete' }));
    assert.deepEqual([dead.deadLetterReason, dead.deadLetterErrorDescription], ['bad', 'why']);
    assert.deepEqual([dead.applicationProperties?.http, dead.applicationProperties?.kept], [500, 'yes']);
  });

  test('redelivers when the lock has expired and refuses the late completion', async () => {
    await bus.send('lock', 'c');
    const receiver = bus.client.createReceiver('lock', { maxAutoLockRenewalDurationInMs: 0 });
    const message = await bus.one(receiver);
    await delay(LOCK_MS + 150);
    await assert.rejects(receiver.completeMessage(message), { code: 'MessageLockLost' });
    const again = await bus.one(receiver);
    assert.equal(again.deliveryCount, 1);
    await receiver.completeMessage(again);
    await receiver.close();
  });

  test('keeps a message locked while its lock is renewed', async () => {
    await bus.send('renew', 'd');
    const receiver = bus.client.createReceiver('renew', { maxAutoLockRenewalDurationInMs: 0 });
    const message = await bus.one(receiver);
    await delay(LOCK_MS * 0.6);
    const renewedAt = Date.now();
    const until = await receiver.renewMessageLock(message);
    assert.ok(until.getTime() > renewedAt + LOCK_MS - 50);
    await delay(LOCK_MS * 0.6);
    await receiver.completeMessage(message);
    await receiver.close();
    assert.deepEqual(await bus.drain('renew'), []);
  });

  test('renews locks by itself for a handler that takes longer than the lock', async () => {
    await bus.send('slow', 'slow');
    const receiver = bus.client.createReceiver('slow');
    let calls = 0;
    const done = Promise.withResolvers<void>();
    const subscription = receiver.subscribe({
      processMessage: async () => {
        calls++;
        await delay(LOCK_MS * 2);
        setTimeout(done.resolve, 200);
      },
      processError: async ({ error }) => done.reject(error),
    });
    await done.promise;
    await subscription.close();
    await receiver.close();
    assert.deepEqual([calls, await bus.drain('slow')], [1, []]);
  });

  test('gets a message back when its handler throws', async () => {
    await bus.send('throws', 'boom');
    const receiver = bus.client.createReceiver('throws');
    let calls = 0;
    const done = Promise.withResolvers<void>();
    receiver.subscribe({
      processMessage: async () => {
        if (++calls < 3) throw new Error('boom');
        setTimeout(done.resolve, 100);
      },
      processError: async () => {},
    });
    await done.promise;
    await receiver.close();
    assert.equal(calls, 3);
  });

  test('keeps a deferred message for who asks for it by number', async () => {
    await bus.send('defer', 'df');
    const receiver = bus.client.createReceiver('defer');
    const message = await bus.one(receiver);
    await receiver.deferMessage(message);
    assert.ok(message.sequenceNumber);
    const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber);
    assert.ok(deferred);
    assert.equal(deferred.body, 'df');
    await receiver.completeMessage(deferred);
    await receiver.close();
    assert.equal((await bus.azure.serviceBus.counts()).defer, 0);
  });

  test('hands out sessions one holder at a time, in order, with their state', async () => {
    await bus.client
      .createSender('ordered')
      .sendMessages([1, 2, 3, 4].map((i) => ({ body: i, sessionId: i % 2 === 1 ? 'odd' : 'even', messageId: randomUUID() })));
    const odd = await bus.client.acceptSession('ordered', 'odd');
    const next = await bus.client.acceptNextSession('ordered');
    assert.equal(next.sessionId, 'even');
    for (const [receiver, expected] of [
      [odd, [1, 3]],
      [next, [2, 4]],
    ] as const) {
      const messages = await receiver.receiveMessages(5, { maxWaitTimeInMs: 400 });
      assert.deepEqual(
        messages.map(({ body }) => body),
        expected,
      );
      await receiver.renewSessionLock();
      for (const message of messages) await receiver.completeMessage(message);
    }
    await assert.rejects(bus.client.acceptSession('ordered', 'even'), { code: 'SessionCannotBeLocked' });
    await next.setSessionState('state');
    assert.equal(String(await next.getSessionState()), 'state');
    await odd.close();
    await next.close();
    const impatient = new ServiceBusClient(bus.azure.serviceBus.connectionString, { retryOptions: { maxRetries: 0, timeoutInMs: 1_000 } });
    await assert.rejects(impatient.acceptNextSession('ordered'), { code: 'ServiceTimeout' });
    await impatient.close();
  });
});
