import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WorkloadIdentityCredential } from '@azure/identity';
import { ServiceBusClient, type ServiceBusReceivedMessage, type ServiceBusReceiver } from '@azure/service-bus';
import { type Azure, startAzure } from './azure.ts';
import { trustAuthority } from './certificates.ts';
import type { EmulatorConfigFile } from './service-bus/entity-config.ts';

const LOCK_MS = 1_200;
const entities: EmulatorConfigFile = {
  UserConfig: {
    Namespaces: [
      {
        Name: 'sbemulatorns',
        Queues: [
          ...[
            'basic',
            'batch',
            'dedup',
            'abandon',
            'deadletter',
            'lock',
            'renew',
            'slow',
            'throws',
            'schedule',
            'later',
            'peek',
            'defer',
            'large',
            'token',
            'fqdn',
          ].map((Name) => ({
            Name,
            Properties: {
              LockDuration: `PT${LOCK_MS / 1_000}S`,
              MaxDeliveryCount: 3,
              RequiresDuplicateDetection: true,
              DuplicateDetectionHistoryTimeWindow: 'PT1.5S',
            },
          })),
          { Name: 'expiry', Properties: { DeadLetteringOnMessageExpiration: true } },
          { Name: 'ordered', Properties: { LockDuration: 'PT5S', RequiresSession: true } },
          { Name: 'bulk', Properties: { LockDuration: 'PT1M' } },
          { Name: 'durable', Properties: { RequiresDuplicateDetection: true } },
        ],
        Topics: [
          {
            Name: 'files',
            Subscriptions: [
              { Name: 'all' },
              {
                Name: 'uploads',
                Rules: [{ Name: 'r1', Properties: { FilterType: 'Correlation', CorrelationFilter: { Label: 'sftp.upload', Properties: { tenant: 'acme' } } } }],
              },
            ],
          },
        ],
      },
    ],
  },
};

// Each test has its own queue, so they may run at the same time.
describe('service bus emulator under the unmodified SDK', { concurrency: 8 }, () => {
  let dir: string;
  let azure: Azure;
  let client: ServiceBusClient;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'skiff-bus-'));
    azure = await startAzure({ dir, entities });
    trustAuthority(azure.certificates);
    client = clientWith(azure.serviceBus.connectionString);
  });
  after(async () => {
    await client.close();
    await azure.stop();
    await rm(dir, { recursive: true });
  });

  function clientWith(connectionString: string): ServiceBusClient {
    return new ServiceBusClient(connectionString, { retryOptions: { maxRetries: 0, timeoutInMs: 5_000 } });
  }
  async function send(queue: string, body: unknown, more: object = {}): Promise<void> {
    await client.createSender(queue).sendMessages({ body, messageId: randomUUID(), ...more });
  }
  async function one(receiver: ServiceBusReceiver, maxWaitTimeInMs = 3_000): Promise<ServiceBusReceivedMessage> {
    const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs });
    assert.ok(message, 'no message');
    return message;
  }
  async function drain(queue: string, wait = 300): Promise<unknown[]> {
    const receiver = client.createReceiver(queue, { receiveMode: 'receiveAndDelete' });
    const bodies: unknown[] = [];
    for (;;) {
      const messages = await receiver.receiveMessages(1_000, { maxWaitTimeInMs: wait });
      if (messages.length === 0) break;
      bodies.push(...messages.map(({ body }) => body));
    }
    await receiver.close();
    return bodies;
  }

  test('refuses a wrong key', async () => {
    const stranger = clientWith(azure.serviceBus.connectionString.replace('SAS_KEY_VALUE', 'nope'));
    await assert.rejects(stranger.createSender('basic').sendMessages({ body: 1 }), { code: 'UnauthorizedAccess' });
    await stranger.close();
  });

  test('says that an unknown queue is not found', async () => {
    await assert.rejects(client.createSender('nope').sendMessages({ body: 1 }), { code: 'MessagingEntityNotFound' });
  });

  test('keeps the body, the properties and their types', async () => {
    const applicationProperties = { tenant: 'acme', n: 5, f: 1.5, b: true };
    await send('basic', { i: 1 }, { messageId: 'm1', subject: 'sftp.upload', contentType: 'application/json', correlationId: 'c', applicationProperties });
    const receiver = client.createReceiver('basic');
    const message = await one(receiver);
    await receiver.completeMessage(message);
    assert.deepEqual(
      [message.body, message.messageId, message.subject, message.contentType, message.correlationId, message.deliveryCount],
      [{ i: 1 }, 'm1', 'sftp.upload', 'application/json', 'c', 0],
    );
    assert.deepEqual({ ...message.applicationProperties }, applicationProperties);
    assert.match(message.lockToken ?? '', /^[0-9a-f-]{36}$/);
    assert.ok((message.lockedUntilUtc?.getTime() ?? 0) > Date.now());
    assert.ok(Math.abs((message.enqueuedTimeUtc?.getTime() ?? 0) - Date.now()) < 5_000);
    await receiver.close();
  });

  test('takes a batch of 500 and delivers each of it', async () => {
    const sender = client.createSender('batch');
    const batch = await sender.createMessageBatch();
    while (batch.count < 500 && batch.tryAddMessage({ body: 'x'.repeat(100), messageId: randomUUID() }));
    await sender.sendMessages(batch);
    assert.equal(batch.maxSizeInBytes, 1_048_576);
    assert.equal((await drain('batch')).length, 500);
  });

  test('drops a second message id inside the window and takes it again after', async () => {
    const sender = client.createSender('dedup');
    const twice = randomUUID();
    await sender.sendMessages({ body: 1, messageId: twice });
    await sender.sendMessages({ body: 2, messageId: twice });
    await sender.sendMessages([
      { body: 3, messageId: twice },
      { body: 4, messageId: randomUUID() },
    ]);
    assert.deepEqual(await drain('dedup'), [1, 4]);
    await delay(1_600);
    await sender.sendMessages({ body: 5, messageId: twice });
    assert.deepEqual(await drain('dedup'), [5]);
  });

  test('redelivers an abandoned message with a greater count and dead-letters it after the last delivery', async () => {
    await send('abandon', 'a');
    const receiver = client.createReceiver('abandon');
    const counts: (number | undefined)[] = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      const message = await one(receiver);
      counts.push(message.deliveryCount);
      await receiver.abandonMessage(message, { attempt });
    }
    assert.deepEqual(counts, [0, 1, 2]);
    assert.equal((await receiver.receiveMessages(1, { maxWaitTimeInMs: 200 })).length, 0);
    await receiver.close();
    const deadLetters = client.createReceiver('abandon', { subQueueType: 'deadLetter' });
    const dead = await one(deadLetters);
    await deadLetters.completeMessage(dead);
    await deadLetters.close();
    assert.deepEqual([dead.body, dead.deadLetterReason, dead.applicationProperties?.attempt], ['a', 'MaxDeliveryCountExceeded', 2]);
  });

  test('dead-letters on request with reason, description and properties', async () => {
    await send('deadletter', 'b', { applicationProperties: { kept: 'yes' } });
    const receiver = client.createReceiver('deadletter');
    await receiver.deadLetterMessage(await one(receiver), { deadLetterReason: 'bad', deadLetterErrorDescription: 'why', http: 500 });
    await receiver.close();
    const dead = await one(client.createReceiver('deadletter', { subQueueType: 'deadLetter', receiveMode: 'receiveAndDelete' }));
    assert.deepEqual([dead.deadLetterReason, dead.deadLetterErrorDescription], ['bad', 'why']);
    assert.deepEqual([dead.applicationProperties?.http, dead.applicationProperties?.kept], [500, 'yes']);
  });

  test('redelivers when the lock has expired and refuses the late completion', async () => {
    await send('lock', 'c');
    const receiver = client.createReceiver('lock', { maxAutoLockRenewalDurationInMs: 0 });
    const message = await one(receiver);
    await delay(LOCK_MS + 150);
    await assert.rejects(receiver.completeMessage(message), { code: 'MessageLockLost' });
    const again = await one(receiver);
    assert.equal(again.deliveryCount, 1);
    await receiver.completeMessage(again);
    await receiver.close();
  });

  test('keeps a message locked while its lock is renewed', async () => {
    await send('renew', 'd');
    const receiver = client.createReceiver('renew', { maxAutoLockRenewalDurationInMs: 0 });
    const message = await one(receiver);
    await delay(LOCK_MS * 0.6);
    const renewedAt = Date.now();
    const until = await receiver.renewMessageLock(message);
    assert.ok(until.getTime() > renewedAt + LOCK_MS - 50);
    await delay(LOCK_MS * 0.6);
    await receiver.completeMessage(message);
    await receiver.close();
    assert.deepEqual(await drain('renew'), []);
  });

  test('renews locks by itself for a handler that takes longer than the lock', async () => {
    await send('slow', 'slow');
    const receiver = client.createReceiver('slow');
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
    assert.deepEqual([calls, await drain('slow')], [1, []]);
  });

  test('gets a message back when its handler throws', async () => {
    await send('throws', 'boom');
    const receiver = client.createReceiver('throws');
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

  test('delivers a scheduled message when it is due and never a cancelled one', async () => {
    const sender = client.createSender('schedule');
    const due = new Date(Date.now() + 2_000);
    await sender.scheduleMessages({ body: 'later', messageId: randomUUID() }, due);
    const cancelled = await sender.scheduleMessages({ body: 'never', messageId: randomUUID() }, due);
    await sender.cancelScheduledMessages(cancelled);
    assert.deepEqual(await drain('schedule', 200), []);
    const message = await one(client.createReceiver('schedule', { receiveMode: 'receiveAndDelete' }));
    assert.ok(Date.now() >= due.getTime());
    assert.equal(message.body, 'later');
    assert.deepEqual(await drain('schedule', 200), []);
  });

  test('honours scheduledEnqueueTimeUtc and shows the message as scheduled until then', async () => {
    await send('later', 'sch', { scheduledEnqueueTimeUtc: new Date(Date.now() + 500) });
    const receiver = client.createReceiver('later', { receiveMode: 'receiveAndDelete' });
    const [peeked] = await receiver.peekMessages(5);
    assert.equal(peeked?.state, 'scheduled');
    assert.equal((await one(receiver)).body, 'sch');
    await receiver.close();
  });

  test('peeks without taking', async () => {
    await client.createSender('peek').sendMessages([
      { body: 'p1', messageId: randomUUID() },
      { body: 'p2', messageId: randomUUID() },
    ]);
    const receiver = client.createReceiver('peek');
    const peeked = await receiver.peekMessages(10);
    await receiver.close();
    assert.deepEqual(
      peeked.map(({ body }) => body),
      ['p1', 'p2'],
    );
    assert.deepEqual(await drain('peek'), ['p1', 'p2']);
  });

  test('keeps a deferred message for who asks for it by number', async () => {
    await send('defer', 'df');
    const receiver = client.createReceiver('defer');
    const message = await one(receiver);
    await receiver.deferMessage(message);
    assert.ok(message.sequenceNumber);
    const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber);
    assert.ok(deferred);
    assert.equal(deferred.body, 'df');
    await receiver.completeMessage(deferred);
    await receiver.close();
    assert.equal((await azure.serviceBus.counts()).defer, 0);
  });

  test('dead-letters what has outlived its time to live', async () => {
    await send('expiry', 'ttl', { timeToLive: 200 });
    const dead = await one(client.createReceiver('expiry', { subQueueType: 'deadLetter', receiveMode: 'receiveAndDelete' }));
    assert.equal(dead.deadLetterReason, 'TTLExpiredException');
  });

  test('hands out sessions one holder at a time, in order, with their state', async () => {
    await client.createSender('ordered').sendMessages([1, 2, 3, 4].map((i) => ({ body: i, sessionId: i % 2 === 1 ? 'odd' : 'even', messageId: randomUUID() })));
    const odd = await client.acceptSession('ordered', 'odd');
    const next = await client.acceptNextSession('ordered');
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
    await assert.rejects(client.acceptSession('ordered', 'even'), { code: 'SessionCannotBeLocked' });
    await next.setSessionState('state');
    assert.equal(String(await next.getSessionState()), 'state');
    await odd.close();
    await next.close();
    const impatient = new ServiceBusClient(azure.serviceBus.connectionString, { retryOptions: { maxRetries: 0, timeoutInMs: 1_000 } });
    await assert.rejects(impatient.acceptNextSession('ordered'), { code: 'ServiceTimeout' });
    await impatient.close();
  });

  test('copies a topic message to the subscriptions whose filter it passes', async () => {
    await client.createSender('files').sendMessages([
      { body: 'u', subject: 'sftp.upload', applicationProperties: { tenant: 'acme' } },
      { body: 'd', subject: 'sftp.delete', applicationProperties: { tenant: 'acme' } },
    ]);
    const received: Record<string, unknown[]> = {};
    for (const subscription of ['all', 'uploads']) {
      const receiver = client.createReceiver('files', subscription, { receiveMode: 'receiveAndDelete' });
      received[subscription] = (await receiver.receiveMessages(5, { maxWaitTimeInMs: 400 })).map(({ body }) => body);
      await receiver.close();
    }
    assert.deepEqual(received, { all: ['u', 'd'], uploads: ['u'] });
  });

  test('carries 900 KB and refuses more than 1 MiB', async () => {
    await send('large', Buffer.alloc(900_000, 7));
    const [body] = await drain('large');
    assert.ok(Buffer.isBuffer(body) && body.equals(Buffer.alloc(900_000, 7)));
    await assert.rejects(send('large', Buffer.alloc(1_100_000)), { code: 'MessageSizeExceeded' });
  });

  function tokenClient(tokenFilePath = azure.identity.tokenFile): ServiceBusClient {
    const { tenantId, clientId, authorityHost } = azure.identity;
    const credential = new WorkloadIdentityCredential({ tenantId, clientId, authorityHost, tokenFilePath, disableInstanceDiscovery: true });
    const { namespace, endpoint } = azure.serviceBusAddress;
    return new ServiceBusClient(namespace, credential, { customEndpointAddress: endpoint, retryOptions: { maxRetries: 0, timeoutInMs: 5_000 } });
  }

  test('accepts a workload identity token over TLS for the namespace by its real name', async () => {
    const keyless = tokenClient();
    await keyless.createSender('fqdn').sendMessages({ body: 'keyless', messageId: randomUUID() });
    const message = await one(keyless.createReceiver('fqdn', { receiveMode: 'receiveAndDelete' }));
    assert.equal(message.body, 'keyless');
    await keyless.close();
  });

  test('sends 5,000 messages in batches and receives them all once', async () => {
    const sender = client.createSender('bulk');
    const started = performance.now();
    for (let i = 0; i < 25; i++) {
      const batch = await sender.createMessageBatch();
      for (let j = 0; j < 200; j++) batch.tryAddMessage({ body: Buffer.alloc(500), messageId: `${i}-${j}` });
      await sender.sendMessages(batch);
    }
    const sentMs = performance.now() - started;
    const bodies = await drain('bulk');
    assert.equal(bodies.length, 5_000);
    assert.ok(sentMs < 10_000, `5,000 messages took ${Math.round(sentMs)} ms`);
  });
});
