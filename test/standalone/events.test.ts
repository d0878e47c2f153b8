import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openTestDatabase } from '@skiff/database/testing';
import { eventSchema } from '@skiff/model/event-reference';
import { EVENT_TYPES, type EventType } from '@skiff/model/event-types';
import { parseSkiffEvent } from '@skiff/model/parse-file-event';
import type { SkiffEvent } from '@skiff/model/skiff-event';
import { Compile } from 'typebox/compile';
import { type Azure, startAzure } from '../emulators/azure.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { type HttpInbox, startHttpInbox } from '../support/http-inbox.ts';
import { type Login, OpenSshClient } from '../support/openssh-client.ts';
import { SkiffProcess, servesUsers } from '../support/skiff-process.ts';

const QUEUE = 'events';
/** Generous: every part runs on one busy machine. */
const DELIVERED_WITHIN_MS = 30_000;
/** Longer than an event takes that should not come. */
const QUIET_MS = 2_000;

let dir: string;
let azure: Azure;
let inbox: HttpInbox;
let client: OpenSshClient;
let login: Login;
let publicKey: string;
let healthPort: number;
let skiff: SkiffProcess;
const stops: (() => Promise<unknown>)[] = [];

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-standalone-events-'));
  stops.push(() => rm(dir, { recursive: true, force: true }));
  azure = await startAzure({ dir: join(dir, 'azure'), containers: [], queues: [QUEUE] });
  stops.push(() => azure.stop());
  const database = await openTestDatabase();
  stops.push(() => database.close());
  inbox = await startHttpInbox();
  stops.push(() => inbox.close());
  client = new OpenSshClient(join(dir, 'client'));
  const key = await client.generateKey('id_ann');
  publicKey = key.publicKey;
  healthPort = await freePort();
  login = { host: '127.0.0.1', port: await freePort(), username: 'ann', credential: { keyFile: key.keyFile } };
  await Promise.all([mkdir(join(dir, 'manifests')), mkdir(join(dir, 'files'))]);
  await select(['dev.skiff.file.uploaded', 'dev.skiff.file.downloaded', 'dev.skiff.login.failed']);
  skiff = new SkiffProcess({
    args: ['standalone', '--manifests', join(dir, 'manifests'), '--state', join(dir, 'state')],
    env: {
      ...azure.env,
      SKIFF_DATABASE_URL: database.url.reveal(),
      SKIFF_LISTEN_HOST: '127.0.0.1',
      SKIFF_HEALTH_PORT: String(healthPort),
      SKIFF_DRAIN_GRACE_SECONDS: '1',
      SKIFF_ALLOWED_TARGET_RANGES: '127.0.0.0/8',
    },
  });
  stops.push(() => skiff.kill());
  await skiff.waitFor('routes', (line) => line.msg === 'routes in force changed', 60_000);
  await skiff.waitFor('ann', servesUsers(1), 60_000);
});
after(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function select(types: readonly EventType[] | undefined): Promise<void> {
  const { namespace, endpoint } = azure.serviceBusAddress;
  const events = { serviceBus: { namespace, endpoint, queue: QUEUE }, ...(types === undefined ? {} : { types }) };
  const storage = { local: { path: join(dir, 'files') } };
  const endpointRef = { name: 'partners' };
  const route = (path: string, match?: object) => ({
    endpointRef,
    targets: [{ name: 'app', http: { url: `${inbox.url}${path}` } }],
    ...(match === undefined ? {} : { match }),
  });
  const resources = [
    ['SftpEndpoint', 'partners', { service: { port: login.port }, storage, events }],
    ['SftpUser', 'ann', { endpointRef, username: 'ann', authorizedKeys: [{ name: 'laptop', publicKey }] }],
    ['EventRoute', 'all', route('/all')],
    ['EventRoute', 'wrong', route('/wrong', { types: ['dev.skiff.login.failed'], expression: 'event.data.reason == "KeyUnknown"' })],
    ['EventRoute', 'paths', route('/paths', { paths: ['/**'] })],
  ].map(([kind, name, spec]) => JSON.stringify({ apiVersion: 'skiff.dev/v1alpha1', kind, metadata: { name }, spec }));
  await writeFile(join(dir, 'manifests', 'all.yaml'), resources.join('\n---\n'));
}

function delivered(path: string): readonly SkiffEvent[] {
  return inbox.received.filter((one) => one.path === path).flatMap((one) => parseSkiffEvent(JSON.parse(one.body)) ?? []);
}

const typesAt = (path: string): readonly string[] => delivered(path).map((event) => event.type);

async function sftp(...batch: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await client.sftp(login, batch);
  assert.equal(exitCode, 0, stderr);
}

test('an upload, a download and a refused login reach the application, and what is not selected does not', async () => {
  const local = join(dir, 'local');
  await writeFile(local, 'content');
  await sftp('mkdir /in', `put ${local} /in/a.txt`, `get /in/a.txt ${join(dir, 'back')}`, 'rename /in/a.txt /in/b.txt', 'rm /in/b.txt');
  const stranger = await client.generateKey('id_stranger');
  assert.notEqual((await client.sftp({ ...login, credential: { keyFile: stranger.keyFile } }, ['ls'])).exitCode, 0);
  const expected = ['dev.skiff.file.downloaded', 'dev.skiff.file.uploaded', 'dev.skiff.login.failed'];
  await eventually('three events', () => typesAt('/all').length >= 3 && typesAt('/wrong').length >= 1 && typesAt('/paths').length >= 2, DELIVERED_WITHIN_MS);
  await sleep(QUIET_MS);
  assert.deepEqual(typesAt('/all').toSorted(), expected);
  assert.deepEqual(typesAt('/wrong'), ['dev.skiff.login.failed']);
  assert.deepEqual(typesAt('/paths').toSorted(), expected.slice(0, 2));
  const [failed] = delivered('/wrong');
  assert.deepEqual([failed?.subject, failed?.data.username, failed?.data.clientAddress], ['ann', 'ann', '127.0.0.1']);
});

test('a change of the selection holds without a restart, and every event is valid against its schema', async () => {
  const startedAt = (await fetchMetrics()).match(/^process_start_time_seconds (.*)$/m)?.[1];
  await select(['dev.skiff.login.succeeded', 'dev.skiff.directory.created']);
  const before = typesAt('/all').length;
  let tries = 0;
  // The selection may come into force between a login and what is done then.
  await eventually(
    'both types of the new selection',
    async () => {
      await sftp(`mkdir /dir-${tries++}`);
      await sleep(500);
      const types = typesAt('/all').slice(before);
      return types.includes('dev.skiff.directory.created') && types.includes('dev.skiff.login.succeeded');
    },
    DELIVERED_WITHIN_MS,
  );
  assert.equal((await fetchMetrics()).match(/^process_start_time_seconds (.*)$/m)?.[1], startedAt);
  const schemas = new Map(EVENT_TYPES.map((type): [string, ReturnType<typeof Compile>] => [type, Compile(eventSchema(type))]));
  for (const event of delivered('/all')) assert.ok(schemas.get(event.type)?.Check(event), JSON.stringify(event));
});

test('the metrics tell of the outbox, of drops and of deliveries', async () => {
  // The outbox is looked at every five seconds.
  await eventually('an empty outbox', async () => valueIn(await fetchMetrics(), 'skiff_outbox_events') === 0, DELIVERED_WITHIN_MS);
  const text = await fetchMetrics();
  assert.equal(valueIn(text, 'skiff_outbox_oldest_age_seconds'), 0);
  assert.ok(valueIn(text, 'skiff_outbox_read_age_seconds') < 30);
  assert.equal(valueIn(text, 'skiff_best_effort_events_dropped_total{type="dev.skiff.login.failed",reason="BufferFull"}'), 0);
  assert.equal(valueIn(text, 'skiff_router_deliveries_dead_total'), 0);
  assert.ok(valueIn(text, 'skiff_router_messages_total{outcome="complete"}') >= 4);
  assert.ok(valueIn(text, 'skiff_router_attempt_duration_seconds_count{outcome="delivered"}') >= 7);
});

function valueIn(text: string, series: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  assert.ok(line !== undefined, `${series} is not among the metrics`);
  return Number(line.slice(series.length + 1));
}

async function fetchMetrics(): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${healthPort}/metrics`, { signal: AbortSignal.timeout(10_000) });
  return response.text();
}
