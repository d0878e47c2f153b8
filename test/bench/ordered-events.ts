/**
 * What strict order costs, `node test/bench/ordered-events.ts`; writes `out/ordered-events.json`: events a second from two servers' outbox
 * to the bus and from the bus to an application, on one path and on 200 at a time, with `ordering: PerPath` and without.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createOperationLog } from '@skiff/database/mysql-operation-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { instance, newOperationId, sampleIntent, samplePlan } from '@skiff/database/testing/sample-operation';
import { createServiceBusPublisher } from '@skiff/messaging/service-bus';
import { startBackgroundTask } from '@skiff/runtime/background-task';
import { systemClock } from '@skiff/runtime/clock';
import { noFailpoints } from '@skiff/runtime/failpoint';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { Relay } from '@skiff/sftp-server/relay';
import { type Azure, startAzure } from '../emulators/azure.ts';
import { type Application, startApplication } from '../router/application.ts';
import { Checks } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { SkiffProcess } from '../support/skiff-process.ts';
import { testEndpoint } from '../support/test-endpoint.ts';

const SERVERS = ['server-1', 'server-2'];
const RELAY_EVERY_MS = 1_000;
/** Files that are committed at a time; those of one path never are. */
const COMMITS_AT_A_TIME = 32;
const PATIENCE_MS = 180_000;

type Ordering = 'None' | 'PerPath';

interface Run {
  readonly ordering: Ordering;
  readonly paths: number;
  readonly eventsPerPath: number;
  /** The application refuses the first try of the first event of each path. */
  readonly refused?: boolean;
}

interface Site {
  readonly dir: string;
  readonly azure: Azure;
  readonly database: TestDatabase;
  readonly application: Application;
}

interface Figures {
  readonly publishedPerSecond: number;
  readonly deliveredPerSecond: number;
}

let runs = 0;

async function measure(site: Site, run: Run): Promise<Figures> {
  const { azure, database, application, dir } = site;
  const name = `run-${++runs}`;
  const resources = createResourceRepository(database.database);
  const queue = run.ordering === 'PerPath' ? 'ordered' : 'plain';
  const events = { kind: 'serviceBus', ...azure.serviceBusAddress, queue, ordering: run.ordering } as const;
  const settings = testEndpoint({ name, storage: { kind: 'local', path: dir }, events });
  const endpointId = await resources.endpointId(settings.namespace, name);
  const delivery = { minBackoffSeconds: 1, maxBackoffSeconds: 1, maxAttempts: 100 };
  const targets = [{ name: 'app', http: { url: `${application.url}/${name}` }, delivery }];
  await resources.applyRoutes(endpointId, [{ kind: 'put', row: { namespace: 'default', name, uid: name, match: null, targets } }]);

  const total = run.paths * run.eventsPerPath;
  const published = await publish(site, { ...run, endpointId, queue });
  const accepted = new Set<string>();
  application.on(`/${name}`, ({ eventId, count }) => {
    if (run.refused === true && count === 1 && published.firstOfPaths.has(eventId)) return { status: 503 };
    accepted.add(eventId);
    return { status: 204 };
  });
  const settingsFile = join(dir, `${name}.json`);
  await writeFile(settingsFile, JSON.stringify(settings));
  const router = new SkiffProcess({
    args: ['router'],
    env: {
      ...azure.env,
      SKIFF_DATABASE_URL: database.url.reveal(),
      SKIFF_ENDPOINT_FILE: settingsFile,
      SKIFF_ALLOWED_TARGET_RANGES: '127.0.0.0/8',
      SKIFF_LOG_LEVEL: 'warn',
    },
  });
  try {
    await eventually(`${name}: all have come`, () => accepted.size === total, PATIENCE_MS);
    const times = application.callsTo(`/${name}`).map(({ atMs }) => atMs);
    return { publishedPerSecond: published.perSecond, deliveredPerSecond: perSecond(total, Math.max(...times) - Math.min(...times)) };
  } finally {
    await router.stop();
  }
}

/** Two servers commit as fast as they can, in turn on each path, and publish. */
async function publish({ azure, database }: Site, run: Run & { readonly endpointId: number; readonly queue: string }) {
  const { ordering, paths, eventsPerPath, endpointId, queue } = run;
  const credential = { connectionString: new Secret(azure.serviceBus.connectionString) };
  const { namespace } = azure.serviceBusAddress;
  const ordered = ordering === 'PerPath';
  const log = createOperationLog(database.database, { unclaimed: ordered });
  const servers = SERVERS.map((server) => {
    const publisher = createServiceBusPublisher({ namespace, queue, credential, sessions: ordered, logger: silentLogger });
    const relay = new Relay({
      log,
      endpointId,
      instance: instance(server),
      publisher,
      ordered,
      clock: systemClock,
      logger: silentLogger,
      failpoints: noFailpoints,
    });
    const task = startBackgroundTask({ name: 'relay', intervalMs: RELAY_EVERY_MS, logger: silentLogger, run: async () => void (await relay.poll()) });
    return { server, publisher, relay, task };
  });
  const firstOfPaths = new Set<string>();
  const commit = async (path: string, turn: number) => {
    const by = servers[turn % servers.length];
    if (by === undefined) throw new RangeError('no server');
    const id = newOperationId();
    const begun = await log.begin({ ...sampleIntent({ path, id, endpointId, owner: by.server }), plan: samplePlan(id, path) });
    if (begun.kind !== 'begun') throw new Error(`${path} is ${begun.kind}`);
    const event = await log.committed({ id, epoch: begun.epoch }, { etag: '"1"' });
    if (event === undefined) throw new Error(`${path} was displaced`);
    if (turn === 0) firstOfPaths.add(event.id);
    by.relay.offer(event, id);
  };
  const startedAt = performance.now();
  const left = Array.from({ length: paths }, (_, index) => `/run-${runs}/f${index}`);
  const commitNext = async (): Promise<void> => {
    for (let path = left.shift(); path !== undefined; path = left.shift()) for (let turn = 0; turn < eventsPerPath; turn++) await commit(path, turn);
  };
  await Promise.all(Array.from({ length: COMMITS_AT_A_TIME }, commitNext));
  const committedMs = performance.now() - startedAt;
  await eventually('all are published', async () => (await log.outboxStatus(endpointId)).waiting === 0, PATIENCE_MS);
  const publishedMs = performance.now() - startedAt;
  for (const { task, relay, publisher } of servers) {
    await task.stop();
    await relay.idle();
    await publisher.close();
  }
  process.stderr.write(`    committed in ${Math.round(committedMs)} ms, published in ${Math.round(publishedMs)} ms\n`);
  return { perSecond: perSecond(paths * eventsPerPath, publishedMs), firstOfPaths };
}

function perSecond(events: number, ms: number): number {
  return (events * 1000) / ms;
}

process.on('SIGINT', () => process.exit(130));
const dir = await mkdtemp(join(tmpdir(), 'skiff-ordered-'));
const azure = await startAzure({ dir: join(dir, 'azure'), queues: ['plain', { name: 'ordered', requiresSession: true }] });
const application = await startApplication();
const database = await openTestDatabase();
const site = { dir, azure, application, database };
const checks = new Checks('ordered-events');
try {
  for (const shape of [
    { label: 'one path', paths: 1, eventsPerPath: 300 },
    { label: '200 paths', paths: 200, eventsPerPath: 10 },
    { label: '1,000 paths, one event each', paths: 1_000, eventsPerPath: 1 },
  ]) {
    const [free, strict] = [await measure(site, { ...shape, ordering: 'None' }), await measure(site, { ...shape, ordering: 'PerPath' })];
    for (const [stage, key] of [
      ['outbox → bus', 'publishedPerSecond'],
      ['bus → target', 'deliveredPerSecond'],
    ] as const) {
      checks.add(`${shape.label}, ${stage}, unordered`, free[key], '1/s');
      checks.add(`${shape.label}, ${stage}, PerPath`, strict[key], '1/s');
      checks.add(`${shape.label}, ${stage}, PerPath to unordered`, strict[key] / free[key], '');
    }
  }
  for (const shape of [
    { label: 'one path', paths: 1, eventsPerPath: 100 },
    { label: '50 paths', paths: 50, eventsPerPath: 10 },
  ]) {
    const { deliveredPerSecond } = await measure(site, { ...shape, ordering: 'PerPath', refused: true });
    // A path that gets more than this never catches up once it was held back.
    checks.add(`${shape.label}, held back by one refusal, PerPath`, deliveredPerSecond, '1/s', '>= 5');
  }
} finally {
  await Promise.all([azure.stop(), application.close(), database.close()]);
  await rm(dir, { recursive: true, force: true });
}
process.exitCode = checks.finish() ? 0 : 1;
