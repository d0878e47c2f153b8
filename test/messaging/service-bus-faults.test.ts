import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WorkloadIdentityCredential } from '@azure/identity';
import { ServiceBusClient } from '@azure/service-bus';
import type { EventConsumer, IncomingMessage, OutgoingMessage, Settlement } from '@skiff/messaging/event-bus';
import { createServiceBusConsumer, createServiceBusPublisher } from '@skiff/messaging/service-bus';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { type Azure, startAzure } from '../emulators/azure.ts';
import { trustAuthority } from '../emulators/certificates.ts';

const TOKEN_LIFETIME_SECONDS = 4;

const closers: (() => Promise<void>)[] = [];
let dir: string;
let azure: Azure;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-bus-'));
  const queues = [
    'restart',
    'reconnect',
    'detach',
    'expiry',
    'late-token',
    'throttle',
    'errors',
    'foreign',
    'recycle',
    { name: 'ordered', requiresSession: true },
    { name: 'sessions', requiresSession: true },
    { name: 'long', requiresSession: true, lockMs: 3_000 },
    { name: 'none', requiresSession: true },
  ];
  azure = await startAzure({ dir, queues, tokenLifetimeSeconds: TOKEN_LIFETIME_SECONDS });
  trustAuthority(azure.certificates);
});
after(async () => {
  await Promise.all(closers.map((close) => close()));
  await azure.stop();
  await rm(dir, { recursive: true });
});

const byKey = () => ({ connectionString: new Secret(azure.serviceBus.connectionString) });
const within = (ms: number) => AbortSignal.timeout(ms);
const options = (queue: string) => ({ ...azure.serviceBusAddress, queue, logger: silentLogger });

/** By key over plain AMQP: the connection string names the endpoint. */
function keyed(queue: string) {
  return { namespace: azure.serviceBusAddress.namespace, queue, logger: silentLogger, credential: byKey() };
}

function workloadIdentity(): WorkloadIdentityCredential {
  const { tenantId, clientId, authorityHost, tokenFile } = azure.identity;
  return new WorkloadIdentityCredential({ tenantId, clientId, authorityHost, tokenFilePath: tokenFile, disableInstanceDiscovery: true });
}

/**
 * A token that ends while its link lives. The expiry it tells the SDK is far away, so the SDK does not renew: as after the one
 * failed renewal of azure-sdk-for-js#38467.
 */
function neverRenewed() {
  const credential = workloadIdentity();
  return {
    getToken: async (scopes: string | string[]) => ({ token: (await credential.getToken(scopes)).token, expiresOnTimestamp: Date.now() + 3_600_000 }),
  };
}

function messageWith(messageId: string, sessionId?: string): OutgoingMessage {
  const message = { messageId, contentType: 'application/json', subject: 'test', body: Buffer.from(JSON.stringify(messageId)), properties: {} };
  return sessionId === undefined ? message : { ...message, sessionId };
}

async function until(condition: () => boolean, ms = 15_000): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    assert.ok(performance.now() < end, `not within ${ms} ms: ${condition}`);
    await delay(25);
  }
}

function keyAt(port: number) {
  return { connectionString: new Secret(`Endpoint=sb://localhost:${port};SharedAccessKeyName=k;SharedAccessKey=v;UseDevelopmentEmulator=true;`) };
}

/** Accepts connections and never says a word. */
async function listenSilently(): Promise<{ readonly port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    sockets.add(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function publisherFor(props: Parameters<typeof createServiceBusPublisher>[0]) {
  const publisher = createServiceBusPublisher(props);
  closers.push(() => publisher.close());
  return publisher;
}
async function collect(props: Parameters<typeof createServiceBusPublisher>[0]): Promise<Map<string | undefined, number>> {
  const received = new Map<string | undefined, number>();
  const consumer: EventConsumer = createServiceBusConsumer({ ...props, concurrency: 8 });
  closers.push(() => consumer.stop(within(3_000)));
  await consumer.start(async ({ messageId }) => {
    received.set(messageId, (received.get(messageId) ?? 0) + 1);
    return { kind: 'complete' };
  });
  return received;
}

// They disturb the broker for everybody: one after the other.
describe('service bus adapter under faults of the broker', () => {
  test('loses no confirmed message when the broker is killed while publishing and consuming', async () => {
    const publisher = publisherFor(keyed('restart'));
    const received = await collect(keyed('restart'));
    const confirmed = new Set<string>();
    let stopped = false;
    const publish = async (lane: number): Promise<void> => {
      for (let i = 0; !stopped; i++) {
        const ids = [`${lane}-${i}-a`, `${lane}-${i}-b`];
        const sent = await publisher
          .publish(
            ids.map((id) => messageWith(id)),
            within(8_000),
          )
          .then(
            () => true,
            () => false,
          );
        if (sent) for (const id of ids) confirmed.add(id);
        await delay(5);
      }
    };
    const lanes = [0, 1, 2].map(publish);
    await until(() => confirmed.size > 50);
    await azure.serviceBus.kill();
    await delay(300);
    await azure.serviceBus.restart();
    const afterRestart = confirmed.size;
    await until(() => confirmed.size > afterRestart + 50);
    stopped = true;
    await Promise.all(lanes);
    await until(() => [...confirmed].every((id) => received.has(id)));
  });

  test('receives again by itself within 5 s after the broker is back', async () => {
    const received = await collect(keyed('reconnect'));
    const publisher = publisherFor(keyed('reconnect'));
    await publisher.publish([messageWith('before')], within(5_000));
    await until(() => received.has('before'));
    await azure.serviceBus.kill();
    await delay(2_000);
    await azure.serviceBus.restart();
    const backAt = performance.now();
    await publisher.publish([messageWith('after')], within(10_000));
    await until(() => received.has('after'));
    assert.ok(performance.now() - backAt < 5_000, `took ${Math.round(performance.now() - backAt)} ms`);
  });

  test('goes on after the broker has detached all links', async () => {
    const received = await collect(keyed('detach'));
    const publisher = publisherFor(keyed('detach'));
    for (let round = 0; round < 3; round++) {
      await publisher.publish([messageWith(`round-${round}`)], within(5_000));
      await until(() => received.has(`round-${round}`), 5_000);
      await azure.serviceBus.fault(round === 0 ? 'detachLinks' : 'dropConnections');
    }
  });

  test('reports throttling as throttled and goes on when it ends', async () => {
    const publisher = publisherFor(keyed('throttle'));
    await azure.serviceBus.fault('throttle');
    await assert.rejects(publisher.publish([messageWith('1')], within(8_000)), { code: 'throttled', retryAfterMs: 10_000 });
    await azure.serviceBus.fault('unthrottle');
    await publisher.publish([messageWith('1')], within(5_000));
    assert.equal((await azure.serviceBus.counts()).throttle, 1);
  });
});

describe('service bus adapter under faults of its own connection', { concurrency: true }, () => {
  test('goes on when the token of its links expires unrenewed', async () => {
    const received = await collect({ ...options('expiry'), credential: neverRenewed() });
    const publisher = publisherFor({ ...options('expiry'), credential: neverRenewed() });
    for (let second = 0; second < TOKEN_LIFETIME_SECONDS * 2; second++) {
      await publisher.publish([messageWith(`second-${second}`)], within(15_000));
      await delay(1_000);
    }
    await until(() => received.size === TOKEN_LIFETIME_SECONDS * 2, 5_000);
  });

  test('replaces its connections before their tokens end, and loses and doubles nothing', async () => {
    const credential = neverRenewed();
    let tokens = 0;
    const counted = {
      getToken: (scopes: string | string[]) => {
        tokens++;
        return credential.getToken(scopes);
      },
    };
    const props = { ...options('recycle'), credential: counted, recycleAfterMs: 1_000 };
    const received = await collect(props);
    const publisher = publisherFor(props);
    const sent: string[] = [];
    for (const end = performance.now() + 12_000; performance.now() < end; await delay(100)) {
      const id = `recycled-${sent.length}`;
      await publisher.publish([messageWith(id)], within(15_000));
      sent.push(id);
    }
    await until(() => sent.every((id) => received.has(id)));
    assert.ok([...received.values()].every((times) => times === 1));
    // Two to begin with, one for each connection after: the publisher's about ten times, the consumer's at each look, every 5 s.
    assert.ok(tokens >= 5, `${tokens} tokens`);
  });

  test('is not held up by a message of another system that has no id', async () => {
    const client = new ServiceBusClient(azure.serviceBus.connectionString);
    const sender = client.createSender('foreign');
    await sender.sendMessages([{ body: 'no id' }, { body: 'none either' }]);
    await sender.sendMessages({ messageId: 'last', body: { a: 1 } });
    await client.close();
    const received = await collect(keyed('foreign'));
    await until(() => received.has('last') && [...received.values()].reduce((sum, times) => sum + times, 0) === 3);
  });

  test('comes up when the first tokens cannot be had', async () => {
    const credential = neverRenewed();
    let calls = 0;
    const received = await collect({
      ...options('late-token'),
      credential: {
        getToken: async (scopes) => {
          if (++calls <= 6) throw new Error('the token service is away');
          return credential.getToken(scopes);
        },
      },
    });
    await publisherFor(keyed('late-token')).publish([messageWith('late')], within(5_000));
    await until(() => received.has('late'));
    assert.ok(calls > 6);
  });

  test('reports an outage as unavailable and an ended signal as aborted', async () => {
    const silent = await listenSilently();
    closers.push(silent.close);
    const hanging = publisherFor({ ...keyed('errors'), credential: keyAt(silent.port) });
    const startedAt = performance.now();
    await assert.rejects(hanging.publish([messageWith('1')], within(300)), { code: 'aborted' });
    assert.ok(performance.now() - startedAt < 2_000);
    const publisher = publisherFor({ ...keyed('errors'), credential: keyAt(1) });
    await assert.rejects(publisher.publish([messageWith('1')], within(20_000)), { code: 'unavailable' });
  });

  test('reports a wrong key as denied, an unknown queue as not found and a bad message id as invalid', async () => {
    const wrong = { connectionString: new Secret(azure.serviceBus.connectionString.replace('SAS_KEY_VALUE', 'wrong')) };
    await assert.rejects(publisherFor({ ...keyed('errors'), credential: wrong }).publish([messageWith('1')], within(8_000)), { code: 'denied' });
    await assert.rejects(publisherFor(keyed('unknown')).publish([messageWith('1')], within(8_000)), { code: 'notFound' });
    await assert.rejects(publisherFor(keyed('errors')).publish([messageWith('x'.repeat(129))], within(8_000)), { code: 'invalid' });
  });

  test('stops in time while the broker is away', async () => {
    const silent = await listenSilently();
    closers.push(silent.close);
    const consumer = createServiceBusConsumer({ ...keyed('errors'), credential: keyAt(silent.port), concurrency: 1 });
    await consumer.start(async () => ({ kind: 'complete' }));
    await delay(200);
    const startedAt = performance.now();
    await consumer.stop(within(500));
    assert.ok(performance.now() - startedAt < 3_500);
  });

  test('handles the messages of a session one after the other in order, over two consumers and with abandoned ones', async () => {
    const publisher = publisherFor({ ...keyed('sessions'), sessions: true });
    const order = new Map<string, string[]>();
    const running = new Set<string>();
    let overlaps = 0;
    let most = 0;
    const handle = async ({ messageId = '', deliveryCount, order: place }: IncomingMessage): Promise<Settlement> => {
      assert.ok(place);
      const { sessionId } = place;
      if (running.has(sessionId)) overlaps++;
      running.add(sessionId);
      most = Math.max(most, running.size);
      await delay(5);
      running.delete(sessionId);
      if (messageId.endsWith('-3') && deliveryCount === 1) return { kind: 'abandon' };
      // At least once: where a settlement was lost, the same message comes again, and before any other.
      const known = order.get(sessionId) ?? [];
      if (known.at(-1) !== messageId) order.set(sessionId, [...known, messageId]);
      return { kind: 'complete' };
    };
    for (let i = 0; i < 2; i++) {
      const consumer = createServiceBusConsumer({ ...keyed('sessions'), concurrency: 4, sessions: true });
      closers.push(() => consumer.stop(within(3_000)));
      await consumer.start(handle);
    }
    for (let round = 0; round < 10; round++) {
      const batch = [0, 1, 2, 3, 4, 5].map((session) => messageWith(`${session}-${round}`, `session-${session}`));
      await publisher.publish(batch, within(20_000));
    }
    await publisher.publish([messageWith('of its own')], within(8_000));
    await until(() => [...order.values()].reduce((sum, list) => sum + list.length, 0) === 61, 60_000);
    const expected = (session: number) => Array.from({ length: 10 }, (_, i) => `${session}-${i}`);
    for (let session = 0; session < 6; session++) assert.deepEqual(order.get(`session-${session}`), expected(session));
    assert.deepEqual(order.get('of its own'), ['of its own']);
    assert.equal(overlaps, 0);
    assert.ok(most > 1, 'sessions are handled beside each other');
  });

  test('keeps a session for as long as its handler takes, past the time of a lock', async () => {
    const publisher = publisherFor({ ...keyed('long'), sessions: true });
    await publisher.publish([messageWith('long-1', 's'), messageWith('long-2', 's')], within(8_000));
    const handled: string[] = [];
    for (let i = 0; i < 2; i++) {
      const consumer = createServiceBusConsumer({ ...keyed('long'), concurrency: 1, sessions: true });
      closers.push(() => consumer.stop(within(3_000)));
      await consumer.start(async ({ messageId = '' }) => {
        handled.push(`${messageId} begins`);
        if (messageId === 'long-1') await delay(9_000);
        handled.push(`${messageId} ends`);
        return { kind: 'complete' };
      });
    }
    await until(() => handled.includes('long-2 ends'), 30_000);
    assert.deepEqual(handled, ['long-1 begins', 'long-1 ends', 'long-2 begins', 'long-2 ends']);
  });

  test('stops a consumer of sessions in time while there are none', async () => {
    const consumer = createServiceBusConsumer({ ...keyed('none'), concurrency: 8, sessions: true });
    await consumer.start(async () => ({ kind: 'complete' }));
    await delay(500);
    const startedAt = performance.now();
    await consumer.stop(within(8_000));
    assert.ok(performance.now() - startedAt < 4_000, `${Math.round(performance.now() - startedAt)} ms`);
    // None of its waits takes a session away from the next one, for as long as a lock lasts.
    const publisher = publisherFor({ ...keyed('none'), sessions: true });
    await publisher.publish([messageWith('none-1', 'a'), messageWith('none-2', 'b')], within(8_000));
    const received = await collect({ ...keyed('none'), sessions: true });
    await until(() => received.size === 2, 15_000);
  });

  test('keeps the order of each session in a mixed batch', async () => {
    const messages = Array.from({ length: 40 }, (_, i) => messageWith(`${i % 4}-${Math.floor(i / 4)}`, `path-${i % 4}`));
    await publisherFor(keyed('ordered')).publish(messages, within(8_000));
    const client = new ServiceBusClient(azure.serviceBus.connectionString);
    const session = await client.acceptSession('ordered', 'path-2', { receiveMode: 'receiveAndDelete' });
    const received = await session.receiveMessages(20, { maxWaitTimeInMs: 500 });
    await client.close();
    assert.deepEqual(
      received.map(({ messageId }) => messageId),
      Array.from({ length: 10 }, (_, i) => `2-${i}`),
    );
  });
});
