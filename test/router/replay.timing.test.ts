import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { runSkiff } from '../support/run-skiff.ts';
import { type RouterRig, route, startRouterRig, target } from './router-rig.ts';

const EVENTS = 30;
const hopeless = { minBackoffSeconds: 1, maxBackoffSeconds: 1, timeoutSeconds: 1, maxAttempts: 2 };
const skiff = (rig: RouterRig, args: readonly string[]) => runSkiff(args, { SKIFF_DATABASE_URL: rig.databaseUrl });

it('lets the deliveries of a target that hangs die after their attempts, keeps nine others at p99 <= 2 s, and replays exactly the dead ones', async (t) => {
  const names = Array.from({ length: 9 }, (_, index) => `t${index + 1}`);
  const rig = await startRouterRig(
    t,
    (application) => [
      route('all', [target(application, 't0', hopeless), ...names.map((name) => target(application, name))]),
      route('other', [target(application, 'gone')], { expression: 'event.id == "e0"' }),
    ],
    { consumers: 16 },
  );
  let hangs = true;
  rig.application.on('/t0', () => (hangs ? undefined : { status: 204 }));
  rig.application.on('/gone', () => ({ status: 410 }));
  const sentAt = new Map<string, number>();
  for (let index = 0; index < EVENTS; index++) {
    sentAt.set(`e${index}`, performance.now());
    await rig.publish(`e${index}`);
    await delay(5);
  }
  const healthy = () => rig.application.calls.filter(({ path }) => path !== '/t0' && path !== '/gone');
  await eventually('the nine have everything', () => healthy().length === EVENTS * 9);
  const p99 = healthy()
    .map(({ eventId, atMs }) => atMs - (sentAt.get(eventId) ?? Number.NaN))
    .toSorted((a, b) => a - b)[Math.floor(EVENTS * 9 * 0.99)];
  t.diagnostic(`p99 of the nine: ${p99?.toFixed(0)} ms`);
  assert.ok(p99 !== undefined && p99 <= 2000, `p99 ${p99} ms`);
  const dead = async () => (await rig.deliveries.status(rig.endpointId)).dead;
  await eventually('all of t0 and one of gone are dead', async () => (await dead()) === EVENTS + 1, 60_000);
  const attempts = rig.application.callsTo('/t0').length;
  assert.equal(attempts, EVENTS * hopeless.maxAttempts);

  const listed = await skiff(rig, ['deliveries', 'list', '--route', 'team/all', '--limit', '10']);
  assert.equal(listed.code, 0, listed.stderr);
  assert.match(listed.stdout, /^CHANGED +STATE +ATTEMPTS +ROUTE +TARGET +EVENT +DETAIL\n/);
  assert.equal(listed.stdout.match(/ dead +2 +team\/all +t0 +e\d+ +2 attempts failed/g)?.length, 10);
  assert.match(listed.stderr, /--after \S+\n$/);
  const json = await skiff(rig, ['deliveries', 'list', '--event', 'e0', '-o', 'json']);
  const states = json.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .map((row) => `${row.target} ${row.state}`)
    .sort();
  assert.deepEqual(states, ['gone dead', 't0 dead', ...names.map((name) => `${name} succeeded`)].sort());

  const dry = await skiff(rig, ['deliveries', 'replay', '--route', 'team/all', '--dry-run']);
  assert.equal(dry.stdout, `${EVENTS} dead deliveries would be replayed\n`);
  assert.equal(await dead(), EVENTS + 1);
  hangs = false;
  const before = rig.application.calls.length;
  const replayed = await skiff(rig, ['deliveries', 'replay', '--endpoint', 'team/main', '--route', 'team/all', '--batch-size', '7']);
  assert.deepEqual([replayed.code, replayed.stdout], [0, `${EVENTS} dead deliveries are due again\n`], replayed.stderr);
  await eventually('all are delivered', async () => (await rig.deliveries.status(rig.endpointId)).waiting === 0, 60_000);
  const calls = rig.application.calls.slice(before);
  assert.deepEqual(calls.map(({ path, eventId }) => `${path} ${eventId}`).sort(), [...sentAt.keys()].map((id) => `/t0 ${id}`).sort());
  assert.deepEqual(await rig.deliveries.status(rig.endpointId), { waiting: 0, dead: 1 });
});
