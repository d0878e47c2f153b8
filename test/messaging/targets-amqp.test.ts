import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createAmqpConsumer, createAmqpPublisher } from '@skiff/messaging/amqp';
import { type AmqpTargetOptions, createAmqpTarget } from '@skiff/messaging/amqp-target';
import type { EventConsumer, IncomingMessage } from '@skiff/messaging/event-bus';
import { describeEventBus } from '@skiff/messaging/event-bus.contract';
import { MessagesRefusedError } from '@skiff/messaging/messages-refused-error';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import rhea, { type EventContext } from 'rhea';
import { type Certificates, makeCertificates } from '../emulators/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { type PrivateRabbitMq, startPrivateRabbitMq } from '../support/private-rabbitmq.ts';
import { uploadedInput } from './target-input.ts';

const login = { username: 'skiff', password: new Secret('p4ss word\n') };
const logger = silentLogger;
const never = new AbortController().signal;
let dir: string;
let certificates: Certificates;
let broker: PrivateRabbitMq;
let next = 0;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-amqp-'));
  certificates = await makeCertificates(dir);
  broker = await startPrivateRabbitMq(certificates);
});
after(async () => {
  await broker?.stop();
  await rm(dir, { recursive: true });
});

/** Takes all messages of an address and remembers them. */
async function collect(address: string): Promise<{ readonly messages: IncomingMessage[]; readonly consumer: EventConsumer }> {
  const messages: IncomingMessage[] = [];
  const consumer = createAmqpConsumer({ url: broker.url, address, login, logger, concurrency: 10 });
  await consumer.start(async (message) => {
    messages.push(message);
    return { kind: 'complete' };
  });
  return { messages, consumer };
}

/** Properties as another client sees them. */
async function rawReceive(address: string): Promise<NonNullable<EventContext['message']>> {
  const url = new URL(broker.url);
  const connection = rhea
    .create_container()
    .connect({ host: url.hostname, port: Number(url.port), username: 'skiff', password: 'p4ss word', reconnect: false });
  const received = Promise.withResolvers<NonNullable<EventContext['message']>>();
  connection.on('connection_error', (event: EventContext) => received.reject(event.connection.error));
  connection.on('disconnected', () => undefined);
  connection.on('message', ({ message }: EventContext) => (message === undefined ? undefined : received.resolve(message)));
  connection.open_receiver(address);
  const message = await received.promise;
  connection.close();
  return message;
}

describeEventBus('AMQP 1.0 (RabbitMQ)', async () => {
  const address = `/queue/contract-${next++}`;
  const options = { url: broker.url, address, login, logger };
  const publisher = createAmqpPublisher(options);
  const dead = await collect(`${address}-dead`);
  const reasons: { messageId: string | undefined; reason: string | undefined }[] = [];
  const url = new URL(broker.url);
  const connection = rhea
    .create_container()
    .connect({ host: url.hostname, port: Number(url.port), username: 'skiff', password: 'p4ss word', reconnect: false });
  connection.on('disconnected', () => undefined);
  await dead.consumer.stop(never);
  connection.on('message', ({ message }: EventContext) => {
    reasons.push({ messageId: String(message?.message_id), reason: message?.application_properties?.DeadLetterReason });
  });
  connection.open_receiver(`${address}-dead`);
  return {
    publisher,
    consumer: (concurrency) => createAmqpConsumer({ ...options, concurrency, deadLetterAddress: `${address}-dead` }),
    deadLetters: async () => reasons,
    close: async () => {
      await publisher.close();
      connection.close();
    },
  };
});

describe('AMQP 1.0 over a broker that dies', () => {
  it('goes on by itself after the broker was killed, and loses no confirmed message', async (t) => {
    const address = '/queue/survivor';
    const publisher = createAmqpPublisher({ url: broker.url, address, login, logger });
    const { messages, consumer } = await collect(address);
    t.after(async () => {
      await consumer.stop(AbortSignal.timeout(2000));
      await publisher.close();
    });
    const publish = (id: string) =>
      publisher.publish([{ messageId: id, contentType: 'application/json', subject: 's', properties: {}, body: Buffer.from('{}') }], AbortSignal.timeout(5000));
    await publish('before');
    await eventually('the first has come', () => messages.length === 1);
    const restarting = broker.restart();
    await assert.rejects(
      publish('during'),
      (error: unknown) => error instanceof Error && 'code' in error && ['unavailable', 'aborted'].includes(String(error.code)),
    );
    await restarting;
    let confirmed = false;
    // A broker on a busy machine takes half a minute to start.
    for (const end = performance.now() + 90_000; performance.now() < end && !confirmed; ) {
      confirmed = await publish('after').then(
        () => true,
        () => false,
      );
    }
    assert.ok(confirmed);
    await eventually('the last has come', () => messages.some(({ messageId }) => messageId === 'after'), 30_000);
  });
});

describe('AMQP 1.0 at a RabbitMQ that ends the whole session for one message above its limit', () => {
  let small: PrivateRabbitMq;
  before(async () => {
    small = await startPrivateRabbitMq(undefined, ['max_message_size = 65536']);
  });
  after(() => small?.stop());

  it('a publisher tells that message from those that shared its session, which all arrive', async (t) => {
    const address = '/queue/limited';
    const publisher = createAmqpPublisher({ url: small.url, address, login, logger });
    const consumer = createAmqpConsumer({ url: small.url, address, login, logger, concurrency: 10 });
    t.after(async () => {
      await consumer.stop(AbortSignal.timeout(2000));
      await publisher.close();
    });
    const message = (messageId: string, sizeBytes: number) => ({ messageId, contentType: 'a/b', subject: 's', properties: {}, body: Buffer.alloc(sizeBytes) });
    const received = new Set<string | undefined>();
    await consumer.start(async ({ messageId }) => {
      received.add(messageId);
      return { kind: 'complete' };
    });
    const wanted: string[] = [];
    // Two calls at a time, as a relay makes them: one with and one without the large message.
    for (let round = 0; round < 3; round++) {
      const ids = Array.from({ length: 30 }, (_, i) => `${round}-${i}`);
      wanted.push(...ids);
      const batch = [...ids.slice(0, 10).map((id) => message(id, 100)), message(`large-${round}`, 100_000), ...ids.slice(10, 20).map((id) => message(id, 100))];
      const [mixed, plain] = await Promise.allSettled([
        publisher.publish(batch, AbortSignal.timeout(20_000)),
        publisher.publish(
          ids.slice(20).map((id) => message(id, 100)),
          AbortSignal.timeout(20_000),
        ),
      ]);
      assert.equal(plain.status, 'fulfilled', JSON.stringify(plain));
      assert.ok(mixed.status === 'rejected' && mixed.reason instanceof MessagesRefusedError, JSON.stringify(mixed));
      assert.deepEqual([...mixed.reason.refused.keys()], [`large-${round}`]);
      assert.match([...mixed.reason.refused.values()].join(), /65536/);
    }
    await eventually('all others have come', () => wanted.every((id) => received.has(id)));
  });

  it('a target rejects that delivery alone, and makes those that were under way beside it', async (t) => {
    const made = createAmqpTarget({ url: small.url, address: '/queue/beside', login, logger, timeoutMs: 20_000, addresses: { allow: ['127.0.0.0/8'] } });
    t.after(() => made.close());
    await made.deliver(uploadedInput('first'), never);
    for (let round = 0; round < 3; round++) {
      const large = { ...uploadedInput(`large-${round}`), body: Buffer.alloc(100_000) };
      const inputs = [...Array.from({ length: 10 }, (_, i) => uploadedInput(`${round}-${i}`)), large];
      const outcomes = await Promise.all(inputs.map((input) => made.deliver(input, never)));
      assert.deepEqual(
        outcomes.map(({ kind }) => kind),
        inputs.map((input) => (input === large ? 'rejected' : 'delivered')),
        JSON.stringify(outcomes),
      );
    }
  });
});

describe('AMQP 1.0 publisher', () => {
  it('confirms more messages in one call than a session has room for', async (t) => {
    const address = '/queue/many';
    const publisher = createAmqpPublisher({ url: broker.url, address, login, logger });
    t.after(() => publisher.close());
    const messages = Array.from({ length: 5000 }, (_, i) => ({
      messageId: `m${i}`,
      contentType: 'a/b',
      subject: 's',
      properties: {},
      body: Buffer.from('{}'),
    }));
    await publisher.publish(messages, AbortSignal.timeout(30_000));
    const { messages: received, consumer } = await collect(address);
    await eventually('all have come', () => received.length === 5000, 30_000);
    await consumer.stop(AbortSignal.timeout(2000));
  });
});

describe('AMQP target', () => {
  function target(more: Partial<AmqpTargetOptions> = {}) {
    return createAmqpTarget({
      url: broker.url,
      address: '/queue/target',
      login,
      logger,
      timeoutMs: 5000,
      addresses: { allow: ['127.0.0.0/8', '::1'] },
      ...more,
    });
  }

  it('sends the event with its attributes as properties', async (t) => {
    const made = target();
    t.after(() => made.close());
    const input = uploadedInput('skf-1');
    assert.deepEqual(await made.deliver(input, never), { kind: 'delivered', detail: 'accepted by the broker' });
    const message = await rawReceive('/queue/target');
    assert.equal(message.message_id, 'skf-1');
    assert.equal(message.content_type, 'application/cloudevents+json');
    assert.equal(message.application_properties?.cloudEvents_type, 'dev.skiff.file.uploaded');
    assert.equal(message.application_properties?.cloudEvents_id, 'skf-1');
    assert.deepEqual(JSON.parse(message.body.content.toString()), input.event);
  });

  it('connects by TLS to a server that its authority vouches for, and to no other', async (t) => {
    const trusting = target({ url: broker.tlsUrl, address: '/queue/tls', tls: { ca: certificates.ca } });
    const doubting = target({ url: broker.tlsUrl, address: '/queue/tls' });
    t.after(() => Promise.all([trusting.close(), doubting.close()]));
    assert.equal((await trusting.deliver(uploadedInput('e'), never)).kind, 'delivered');
    const outcome = await doubting.deliver(uploadedInput('e'), never);
    assert.ok(outcome.kind === 'retry' && /certificate/i.test(outcome.reason), JSON.stringify(outcome));
  });

  it('may try again after a wrong password, a broker that is not there, and a name that resolves to a refused address', async (t) => {
    const wrong = target({ login: { username: 'skiff', password: new Secret('wr0ng') } });
    const nobody = target({ url: 'amqp://127.0.0.1:1' });
    const refused = target({ url: broker.url.replace('127.0.0.1', 'localhost'), addresses: { allow: [] } });
    t.after(() => Promise.all([wrong.close(), nobody.close(), refused.close()]));
    for (const made of [wrong, nobody, refused]) {
      const outcome = await made.deliver(uploadedInput('e'), never);
      assert.equal(outcome.kind, 'retry', JSON.stringify(outcome));
      assert.doesNotMatch(JSON.stringify(outcome), /wr0ng/);
    }
  });

  it('rejects a refused address for good', async (t) => {
    const made = target({ addresses: { allow: [] } });
    t.after(() => made.close());
    const outcome = await made.deliver(uploadedInput('e'), never);
    assert.ok(outcome.kind === 'rejected' && outcome.reason.includes('refused'), JSON.stringify(outcome));
  });

  it('confirms at least 1,000 deliveries per second, 32 at a time', async (t) => {
    const made = target({ address: '/queue/fast' });
    t.after(() => made.close());
    await made.deliver(uploadedInput('warm'), never);
    let sent = 0;
    const begun = performance.now();
    await Promise.all(
      Array.from({ length: 32 }, async () => {
        while (sent < 2000) {
          sent += 1;
          assert.equal((await made.deliver(uploadedInput(`e${sent}`), never)).kind, 'delivered');
        }
      }),
    );
    const perSecond = sent / ((performance.now() - begun) / 1000);
    t.diagnostic(`${perSecond.toFixed(0)} deliveries/s`);
    assert.ok(perSecond >= 1000, `${perSecond}`);
  });
});
