import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { createDeliveryLog } from '@skiff/database/mysql-delivery-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { createAmqpConsumer } from '@skiff/messaging/amqp';
import { createAmqpTarget } from '@skiff/messaging/amqp-target';
import { createMqttTarget } from '@skiff/messaging/mqtt-target';
import { createServiceBusPublisher } from '@skiff/messaging/service-bus';
import type { RouteTarget } from '@skiff/model/event-route';
import { CLOUD_EVENTS_JSON } from '@skiff/model/file-event';
import { gatheredSecretKey, secretRefKey, secretRefsOf } from '@skiff/model/route-secrets';
import { secretFingerprint } from '@skiff/policy/secret-fingerprint';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { connectAsync } from 'mqtt';
import { type Azure, startAzure } from '../emulators/azure.ts';
import { makeCertificates } from '../emulators/certificates.ts';
import { makeClientCertificate } from '../messaging/client-certificate.ts';
import { uploadedInput } from '../messaging/target-input.ts';
import { eventually } from '../support/eventually.ts';
import { type HttpInbox, startHttpInbox } from '../support/http-inbox.ts';
import { type PrivateMosquitto, startPrivateMosquitto } from '../support/private-mosquitto.ts';
import { MUTUAL_TLS, type PrivateRabbitMq, startPrivateRabbitMq } from '../support/private-rabbitmq.ts';
import { SkiffProcess } from '../support/skiff-process.ts';
import { testEndpoint } from '../support/test-endpoint.ts';

const EVENTS = 40;
const PASSWORD = 'p4ss word';
const never = new AbortController().signal;
let dir: string;
let azure: Azure;
let database: TestDatabase;
let rabbit: PrivateRabbitMq;
let mosquitto: PrivateMosquitto;
let inbox: HttpInbox;
let client: { readonly cert: string; readonly key: string };

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-all-targets-'));
  azure = await startAzure({ dir: join(dir, 'azure'), queues: ['events', 'orders'] });
  const { certificates } = azure;
  client = await makeClientCertificate(dirname(certificates.caFile), 'router');
  [rabbit, mosquitto, database, inbox] = await Promise.all([
    startPrivateRabbitMq(certificates, MUTUAL_TLS),
    startPrivateMosquitto(certificates),
    openTestDatabase(),
    startHttpInbox(),
  ]);
});
after(async () => {
  await Promise.all([rabbit?.stop(), mosquitto?.stop(), inbox?.close(), azure?.stop(), database?.close()]);
  await rm(dir, { recursive: true, force: true });
});

/** Values of the Secrets that the targets name, by `name/key`. */
function secretValues(): Readonly<Record<string, string>> {
  return {
    'rabbit/password': PASSWORD,
    'broker-tls/ca.crt': azure.certificates.ca,
    'router-tls/tls.crt': client.cert,
    'router-tls/tls.key': client.key,
  };
}

function targets(): readonly RouteTarget[] {
  const tls = { caSecretRef: { name: 'broker-tls', key: 'ca.crt' }, clientCertificateSecretRef: { name: 'router-tls' } };
  const login = { username: 'skiff', passwordSecretRef: { name: 'rabbit', key: 'password' } };
  const { namespace, endpoint } = azure.serviceBusAddress;
  return [
    { name: 'api', http: { url: `${inbox.url}/files` } },
    { name: 'rabbit', amqp: { url: rabbit.tlsUrl, address: '/queue/app', authentication: login, tls } },
    { name: 'mosquitto', mqtt: { url: mosquitto.mutualTlsUrl, topic: 'files/{data.username}', tls } },
    { name: 'bus', serviceBus: { namespace, endpoint, queue: 'orders' } },
  ];
}

/** The row and the mounted folder as the operator makes them. */
async function programRoute(endpointId: number, secretsDir: string): Promise<void> {
  const values = secretValues();
  await mkdir(secretsDir);
  const routed = targets().map((target) => {
    const keys = secretRefsOf(target).map((ref) => ({ ref, value: values[secretRefKey(ref)] ?? '' }));
    const fingerprints = keys.map(({ ref, value }) => [secretRefKey(ref), secretFingerprint(`default/${secretRefKey(ref)}`, value)]);
    return { ...target, secretFingerprints: Object.fromEntries(fingerprints) };
  });
  for (const ref of targets().flatMap(secretRefsOf)) await writeFile(join(secretsDir, gatheredSecretKey('default', ref)), values[secretRefKey(ref)] ?? '');
  const row = { namespace: 'default', name: 'all', uid: 'uid-all', match: null, targets: routed };
  await createResourceRepository(database.database).applyRoutes(endpointId, [{ kind: 'put', row }]);
}

/** What each of the four applications has got: ids of events. */
async function startApplications(t: { after(work: () => Promise<unknown>): void }) {
  const got = { rabbit: [] as string[], mosquitto: [] as string[], bus: [] as string[] };
  const consumer = createAmqpConsumer({
    url: rabbit.url,
    address: '/queue/app',
    login: { username: 'skiff', password: new Secret(PASSWORD) },
    logger: silentLogger,
    concurrency: 10,
  });
  await consumer.start(async ({ messageId }) => {
    got.rabbit.push(messageId ?? '');
    return { kind: 'complete' };
  });
  const subscriber = await connectAsync(mosquitto.anonymousUrl, { protocolVersion: 5 });
  subscriber.on('message', (_topic, payload) => got.mosquitto.push(String(JSON.parse(payload.toString()).id)));
  await subscriber.subscribeAsync('files/anna', { qos: 1 });
  const bus = new ServiceBusClient(azure.serviceBus.connectionString);
  const subscription = bus.createReceiver('orders').subscribe({
    processMessage: async ({ messageId }) => void got.bus.push(String(messageId)),
    processError: async () => undefined,
  });
  t.after(async () => {
    await Promise.all([consumer.stop(AbortSignal.timeout(2000)), subscriber.endAsync()]);
    await subscription.close();
    await bus.close();
  });
  return { ...got, api: () => inbox.received.map(({ body }) => String(JSON.parse(body).id)) };
}

describe('a router with targets of all four kinds on real servers', () => {
  it('brings each event to each of them once, by client certificate where one is asked for', async (t) => {
    const got = await startApplications(t);
    const events = { kind: 'serviceBus', ...azure.serviceBusAddress, queue: 'events' } as const;
    const settings = testEndpoint({ storage: { kind: 'local', path: dir }, events });
    const endpointId = await createResourceRepository(database.database).endpointId(settings.namespace, settings.name);
    await programRoute(endpointId, join(dir, 'secrets'));
    await writeFile(join(dir, 'endpoint.json'), JSON.stringify(settings));
    const router = new SkiffProcess({
      args: ['router'],
      env: {
        ...azure.env,
        SKIFF_DATABASE_URL: database.url.reveal(),
        SKIFF_ENDPOINT_FILE: join(dir, 'endpoint.json'),
        SKIFF_ROUTE_SECRETS_DIR: join(dir, 'secrets'),
        SKIFF_ALLOWED_TARGET_RANGES: '127.0.0.0/8,::1/128',
      },
    });
    t.after(() => router.kill());
    const credential = { connectionString: new Secret(azure.serviceBus.connectionString) };
    const publisher = createServiceBusPublisher({ namespace: azure.serviceBusAddress.namespace, queue: 'events', credential, logger: silentLogger });
    t.after(() => publisher.close());
    const ids = Array.from({ length: EVENTS }, (_, index) => `evt-${String(index).padStart(3, '0')}`);
    await publisher.publish(
      ids.map((id) => ({
        messageId: id,
        contentType: CLOUD_EVENTS_JSON,
        subject: '',
        properties: {},
        body: Buffer.from(JSON.stringify(uploadedInput(id).event)),
      })),
      AbortSignal.timeout(20_000),
    );
    const arrived = () => [got.api(), got.rabbit, got.mosquitto, got.bus].map((list) => list.length);
    await eventually('everything has arrived', () => arrived().every((count) => count >= EVENTS), 90_000).catch((error: unknown) => {
      throw new Error(`${arrived()} of ${EVENTS}: ${router.describe()}`, { cause: error });
    });
    await eventually('the queue is empty', async () => (await azure.serviceBus.counts()).events === 0, 20_000);
    assert.deepEqual(got.api().sort(), ids);
    assert.deepEqual(got.rabbit.toSorted(), ids);
    assert.deepEqual(got.mosquitto.toSorted(), ids);
    assert.deepEqual(
      got.bus.toSorted(),
      ids.map((id) => `${id}|default/all|bus`),
    );
    await router.stop();
    assert.deepEqual(await createDeliveryLog(database.database).status(endpointId), { waiting: 0, dead: 0 });
  });

  it('is refused by brokers that ask for a certificate when it has none, or one of an authority that they do not know', async (t) => {
    const strangers = join(dir, 'strangers');
    await makeCertificates(strangers);
    const stranger = await makeClientCertificate(strangers, 'router');
    const { ca } = azure.certificates;
    const common = { timeoutMs: 10_000, addresses: { allow: ['127.0.0.0/8', '::1'] } };
    const amqp = (tls: object) =>
      createAmqpTarget({
        ...common,
        url: rabbit.tlsUrl,
        address: '/queue/app',
        login: { username: 'skiff', password: new Secret(PASSWORD) },
        logger: silentLogger,
        tls: { ca, ...tls },
      });
    const mqtt = (tls: object) => createMqttTarget({ ...common, url: mosquitto.mutualTlsUrl, topic: 't', tls: { ca, ...tls } });
    for (const make of [amqp, mqtt]) {
      const [known, none, unknown] = [make(client), make({}), make(stranger)];
      t.after(() => Promise.all([known.close(), none.close(), unknown.close()]));
      assert.equal((await known.deliver(uploadedInput('e'), never)).kind, 'delivered');
      for (const made of [none, unknown]) {
        const outcome = await made.deliver(uploadedInput('e'), never);
        assert.equal(outcome.kind, 'retry', JSON.stringify(outcome));
        assert.doesNotMatch(JSON.stringify(outcome), /PRIVATE KEY/);
      }
    }
  });
});
