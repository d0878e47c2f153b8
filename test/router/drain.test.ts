import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { createServiceBusPublisher } from '@skiff/messaging/service-bus';
import { CLOUD_EVENTS_JSON } from '@skiff/model/file-event';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { type Azure, startAzure } from '../emulators/azure.ts';
import { uploadedInput } from '../messaging/target-input.ts';
import { eventually } from '../support/eventually.ts';
import { SkiffProcess } from '../support/skiff-process.ts';
import { testEndpoint } from '../support/test-endpoint.ts';
import { type Application, startApplication } from './application.ts';

const GRACE_SECONDS = 4;
let dir: string;
let azure: Azure;
let database: TestDatabase;
let application: Application;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-drain-'));
  // One after the other: when one does not start, the others are known and ended.
  azure = await startAzure({ dir: join(dir, 'azure'), queues: ['events'] });
  database = await openTestDatabase();
  application = await startApplication();
});
after(async () => {
  await Promise.all([application?.close(), azure?.stop(), database?.close()]);
  await rm(dir, { recursive: true, force: true });
});

it('ends or puts aside on SIGTERM what is under way: nothing is lost, nothing succeeds twice, and the next router goes on at once', async (t) => {
  const resources = createResourceRepository(database.database);
  const events = { kind: 'serviceBus', ...azure.serviceBusAddress, queue: 'events' } as const;
  const settings = testEndpoint({ storage: { kind: 'local', path: dir }, events });
  const endpointId = await resources.endpointId(settings.namespace, settings.name);
  const targets = ['quick', 'slow', 'hangs'].map((name) => ({ name, http: { url: `${application.url}/${name}` }, delivery: { timeoutSeconds: 60 } }));
  await resources.applyRoutes(endpointId, [{ kind: 'put', row: { namespace: 'default', name: 'all', uid: 'u', match: null, targets } }]);
  await writeFile(join(dir, 'endpoint.json'), JSON.stringify(settings));
  const start = async (): Promise<SkiffProcess> => {
    const router = new SkiffProcess({
      args: ['router'],
      env: {
        ...azure.env,
        SKIFF_DATABASE_URL: database.url.reveal(),
        SKIFF_ENDPOINT_FILE: join(dir, 'endpoint.json'),
        SKIFF_ALLOWED_TARGET_RANGES: '127.0.0.0/8',
        SKIFF_DRAIN_GRACE_SECONDS: String(GRACE_SECONDS),
      },
    });
    t.after(() => router.kill());
    await router.waitFor('routes', (line) => line.msg === 'routes in force changed', 30_000);
    return router;
  };
  const rowOf = (target: string) =>
    database.database.queries.selectFrom('deliveries').select(['state', 'attempt']).where('target', '=', target).executeTakeFirst();

  let hangs = true;
  // Answered when the order to stop has long come.
  application.on('/slow', () => ({ status: 204, afterMs: 2500 }));
  application.on('/hangs', () => (hangs ? undefined : { status: 204 }));
  const first = await start();
  const credential = { connectionString: new Secret(azure.serviceBus.connectionString) };
  const publisher = createServiceBusPublisher({ namespace: azure.serviceBusAddress.namespace, queue: 'events', credential, logger: silentLogger });
  t.after(() => publisher.close());
  const body = Buffer.from(JSON.stringify(uploadedInput('e1').event));
  await publisher.publish([{ messageId: 'e1', contentType: CLOUD_EVENTS_JSON, subject: '', properties: {}, body }], AbortSignal.timeout(20_000));
  await eventually('all three are being called', () => application.calls.length === 3, 30_000);
  const begun = performance.now();
  assert.equal(await first.stop(), 0);
  const tookMs = performance.now() - begun;
  t.diagnostic(`stopped after ${tookMs.toFixed(0)} ms`);
  assert.ok(tookMs >= 2000 && tookMs < GRACE_SECONDS * 1000 + 10_000, `${tookMs} ms`);
  assert.equal((await azure.serviceBus.counts()).events, 0, 'the message is settled');
  assert.deepEqual(
    [await rowOf('quick'), await rowOf('slow')],
    [
      { state: 'succeeded', attempt: 1 },
      { state: 'succeeded', attempt: 1 },
    ],
  );
  assert.deepEqual(await rowOf('hangs'), { state: 'waiting', attempt: 0 }, 'an attempt that was cut off by the stop does not count');

  hangs = false;
  await start();
  await eventually('the next router delivers it', async () => (await rowOf('hangs'))?.state === 'succeeded', 20_000);
  assert.deepEqual(application.calls.map(({ path }) => path).sort(), ['/hangs', '/hangs', '/quick', '/slow']);
});
