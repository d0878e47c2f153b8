import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { route, startRouterRig, target } from './router-rig.ts';

const fast = { minBackoffSeconds: 1, maxBackoffSeconds: 2 };

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;
}

test('keeps nine targets at p99 <= 2 s while the tenth hangs, and loses nothing for the tenth', async (t) => {
  const names = Array.from({ length: 10 }, (_, index) => `t${index}`);
  const rig = await startRouterRig(
    t,
    (application) => [
      route(
        'r',
        names.map((name) => target(application, name, { ...fast, timeoutSeconds: 1, maxAttempts: 100 })),
      ),
    ],
    {
      consumers: 16,
    },
  );
  let hangs = true;
  rig.application.on('/t0', () => (hangs ? undefined : { status: 204 }));
  const sentAt = new Map<string, number>();
  for (let index = 0; index < 300; index++) {
    sentAt.set(`e${index}`, performance.now());
    await rig.publish(`e${index}`);
    await delay(5);
  }
  const healthy = () => rig.application.calls.filter(({ path }) => path !== '/t0');
  await eventually('the nine have everything', () => healthy().length === 2700);
  const p99 = percentile(
    healthy().map(({ eventId, atMs }) => atMs - (sentAt.get(eventId) ?? Number.NaN)),
    0.99,
  );
  t.diagnostic(`p99 of the nine: ${p99.toFixed(0)} ms`);
  assert.ok(p99 <= 2000, `p99 ${p99} ms`);
  await eventually('the queue is empty', () => rig.bus.pending.length === 0);
  hangs = false;
  await eventually('the tenth has everything', () => new Set(rig.application.callsTo('/t0').map(({ eventId }) => eventId)).size === 300, 75_000);
  await eventually('nothing waits', async () => (await rig.deliveries.status(rig.endpointId)).waiting === 0, 75_000);
  assert.equal((await rig.deliveries.status(rig.endpointId)).dead, 0);
});
