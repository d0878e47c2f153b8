import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WorkloadIdentityCredential } from '@azure/identity';
import { ServiceBusClient } from '@azure/service-bus';
import { BusRig } from './bus-rig.ts';
import type { EmulatorConfigFile } from './service-bus/entity-config.ts';

/** Of duplicate ids. */
const WINDOW_MS = 3_000;
const RULE = { FilterType: 'Correlation' as const, CorrelationFilter: { Label: 'sftp.upload', Properties: { tenant: 'acme' } } };
const QUEUES = ['basic', 'batch', 'schedule', 'later', 'peek', 'large', 'fqdn', 'bulk'];
const ENTITIES: EmulatorConfigFile = {
  UserConfig: {
    Namespaces: [
      {
        Name: 'sbemulatorns',
        Queues: [
          ...QUEUES.map((Name) => ({ Name })),
          { Name: 'dedup', Properties: { RequiresDuplicateDetection: true, DuplicateDetectionHistoryTimeWindow: `PT${WINDOW_MS / 1_000}S` } },
          { Name: 'expiry', Properties: { DeadLetteringOnMessageExpiration: true } },
        ],
        Topics: [{ Name: 'files', Subscriptions: [{ Name: 'all' }, { Name: 'uploads', Rules: [{ Name: 'r1', Properties: RULE }] }] }],
      },
    ],
  },
};

// Each test has its own queue, so they may run at the same time.
describe('messages of the service bus emulator under the unmodified SDK', { concurrency: 8 }, () => {
  let bus: BusRig;
  before(async () => {
    bus = await BusRig.start({ entities: ENTITIES });
  });
  after(() => bus?.stop());

  test('refuses a wrong key', async () => {
    const stranger = bus.clientWith(bus.azure.serviceBus.connectionString.replace('SAS_KEY_VALUE', 'nope'));
    await assert.rejects(stranger.createSender('basic').sendMessages({ body: 1 }), { code: 'UnauthorizedAccess' });
    await stranger.close();
  });

  test('says that an unknown queue is not found', async () => {
    await assert.rejects(bus.client.createSender('nope').sendMessages({ body: 1 }), { code: 'MessagingEntityNotFound' });
  });

  test('keeps the body, the properties and their types', async () => {
    const applicationProperties = { tenant: 'acme', n: 5, f: 1.5, b: true };
    await bus.send('basic', { i: 1 }, { messageId: 'm1', subject: 'sftp.upload', contentType: 'application/json', correlationId: 'c', applicationProperties });
    const receiver = bus.client.createReceiver('basic');
    const message = await bus.one(receiver);
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
    const sender = bus.client.createSender('batch');
    const batch = await sender.createMessageBatch();
    while (batch.count < 500 && batch.tryAddMessage({ body: 'x'.repeat(100), messageId: randomUUID() }));
    await sender.sendMessages(batch);
    assert.equal(batch.maxSizeInBytes, 1_048_576);
    assert.equal((await bus.drain('batch')).length, 500);
  });

  test('drops a second message id inside the window and takes it again after', async () => {
    const sender = bus.client.createSender('dedup');
    const twice = randomUUID();
    await sender.sendMessages({ body: 1, messageId: twice });
    await sender.sendMessages({ body: 2, messageId: twice });
    await sender.sendMessages([
      { body: 3, messageId: twice },
      { body: 4, messageId: randomUUID() },
    ]);
    assert.deepEqual(await bus.drain('dedup'), [1, 4]);
    await delay(WINDOW_MS + 100);
    await sender.sendMessages({ body: 5, messageId: twice });
    assert.deepEqual(await bus.drain('dedup'), [5]);
  });

  test('delivers a scheduled message when it is due and never a cancelled one', async () => {
    const sender = bus.client.createSender('schedule');
    const due = new Date(Date.now() + 2_000);
    await sender.scheduleMessages({ body: 'later', messageId: randomUUID() }, due);
    const cancelled = await sender.scheduleMessages({ body: 'never', messageId: randomUUID() }, due);
    await sender.cancelScheduledMessages(cancelled);
    assert.deepEqual(await bus.drain('schedule', 200), []);
    const message = await bus.one(bus.client.createReceiver('schedule', { receiveMode: 'receiveAndDelete' }));
    assert.ok(Date.now() >= due.getTime());
    assert.equal(message.body, 'later');
    assert.deepEqual(await bus.drain('schedule', 200), []);
  });

  test('honours scheduledEnqueueTimeUtc and shows the message as scheduled until then', async () => {
    await bus.send('later', 'sch', { scheduledEnqueueTimeUtc: new Date(Date.now() + 2_000) });
    const receiver = bus.client.createReceiver('later', { receiveMode: 'receiveAndDelete' });
    const [peeked] = await receiver.peekMessages(5);
    assert.equal(peeked?.state, 'scheduled');
    assert.equal((await bus.one(receiver)).body, 'sch');
    await receiver.close();
  });

  test('peeks without taking', async () => {
    await bus.client.createSender('peek').sendMessages([
      { body: 'p1', messageId: randomUUID() },
      { body: 'p2', messageId: randomUUID() },
    ]);
    const receiver = bus.client.createReceiver('peek');
    const peeked = await receiver.peekMessages(10);
    await receiver.close();
    assert.deepEqual(
      peeked.map(({ body }) => body),
      ['p1', 'p2'],
    );
    assert.deepEqual(await bus.drain('peek'), ['p1', 'p2']);
  });

  test('dead-letters what has outlived its time to live', async () => {
    await bus.send('expiry', 'ttl', { timeToLive: 200 });
    const dead = await bus.one(bus.client.createReceiver('expiry', { subQueueType: 'deadLetter', receiveMode: 'receiveAndDelete' }));
    assert.equal(dead.deadLetterReason, 'TTLExpiredException');
  });

  test('copies a topic message to the subscriptions whose filter it passes', async () => {
    await bus.client.createSender('files').sendMessages([
      { body: 'u', subject: 'sftp.upload', applicationProperties: { tenant: 'acme' } },
      { body: 'd', subject: 'sftp.delete', applicationProperties: { tenant: 'acme' } },
    ]);
    const received: Record<string, unknown[]> = {};
    for (const subscription of ['all', 'uploads']) {
      const receiver = bus.client.createReceiver('files', subscription, { receiveMode: 'receiveAndDelete' });
      received[subscription] = (await receiver.receiveMessages(5, { maxWaitTimeInMs: 400 })).map(({ body }) => body);
      await receiver.close();
    }
    assert.deepEqual(received, { all: ['u', 'd'], uploads: ['u'] });
  });

  test('carries 900 KB and refuses more than 1 MiB', async () => {
    await bus.send('large', Buffer.alloc(900_000, 7));
    const [body] = await bus.drain('large');
    assert.ok(Buffer.isBuffer(body) && body.equals(Buffer.alloc(900_000, 7)));
    await assert.rejects(bus.send('large', Buffer.alloc(1_100_000)), { code: 'MessageSizeExceeded' });
  });

  function tokenClient(tokenFilePath = bus.azure.identity.tokenFile): ServiceBusClient {
    const { tenantId, clientId, authorityHost } = bus.azure.identity;
    const credential = new WorkloadIdentityCredential({ tenantId, clientId, authorityHost, tokenFilePath, disableInstanceDiscovery: true });
    const { namespace, endpoint } = bus.azure.serviceBusAddress;
    return new ServiceBusClient(namespace, credential, { customEndpointAddress: endpoint, retryOptions: { maxRetries: 0, timeoutInMs: 5_000 } });
  }

  test('accepts a workload identity token over TLS for the namespace by its real name', async () => {
    const keyless = tokenClient();
    await keyless.createSender('fqdn').sendMessages({ body: 'keyless', messageId: randomUUID() });
    const message = await bus.one(keyless.createReceiver('fqdn', { receiveMode: 'receiveAndDelete' }));
    assert.equal(message.body, 'keyless');
    await keyless.close();
  });

  test('sends 5,000 messages in batches and receives them all once', async () => {
    const sender = bus.client.createSender('bulk');
    for (let i = 0; i < 25; i++) {
      const batch = await sender.createMessageBatch();
      for (let j = 0; j < 200; j++) batch.tryAddMessage({ body: `${i}-${j}`.padEnd(500), messageId: `${i}-${j}` });
      await sender.sendMessages(batch);
    }
    const bodies = await bus.drain('bulk');
    assert.equal(bodies.length, 5_000);
    assert.equal(new Set(bodies).size, 5_000);
  });
});
