import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { createDeliveryLog } from '@skiff/database/mysql-delivery-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { openTestDatabase } from '@skiff/database/testing';
import { uploadedInput } from '../messaging/target-input.ts';
import { eventually } from '../support/eventually.ts';
import { startApplication } from './application.ts';
import { createRouterProcess } from './router-process.ts';
import { route, target } from './router-rig.ts';

async function startRig(t: TestContext, targets: readonly string[]) {
  const test = await openTestDatabase();
  t.after(() => test.close());
  const application = await startApplication();
  t.after(() => application.close());
  const resources = createResourceRepository(test.database);
  const endpointId = await resources.endpointId('team', 'main');
  const row = route(
    'r',
    targets.map((name) => target(application, name, { minBackoffSeconds: 1, maxBackoffSeconds: 1 })),
  );
  await resources.applyRoutes(endpointId, [{ kind: 'put', row }]);
  const router = createRouterProcess({ databaseUrl: test.url.reveal(), endpointId });
  t.after(() => router.stop());
  const deliveries = createDeliveryLog(test.database);
  const publish = (id: string): void => router.publish(id, JSON.stringify(uploadedInput(id).event));
  return { application, router, publish, status: () => deliveries.status(endpointId) };
}

it('delivers every event, recognisable by its id, when the router is killed between delivery and completion', async (t) => {
  const { application, router, publish } = await startRig(t, ['app']);
  const sent: string[] = [];
  for (let round = 0; round < 5; round++) {
    await router.start(`router.delivered=kill@${round + 2}`);
    for (let index = 0; index < 10; index++) {
      const id = `e${round}-${index}`;
      sent.push(id);
      publish(id);
    }
    await router.died();
  }
  assert.equal(router.deaths, 5);
  await router.start('');
  await eventually('the queue is empty', () => router.pending.size === 0);
  const seen = application.calls.map(({ eventId }) => eventId);
  assert.deepEqual([...new Set(seen)].sort(), sent.sort());
  assert.ok(seen.length > sent.length, 'no kill came after a delivery');
  t.diagnostic(`${seen.length} deliveries of ${sent.length} events over 5 kills`);
});

it('neither loses nor repeats a delivery that was put aside when the router is killed before completion', async (t) => {
  const { application, router, publish, status } = await startRig(t, ['ok', 'bad']);
  let broken = true;
  application.on('/bad', () => ({ status: broken ? 500 : 200 }));
  await router.start('router.parked=kill');
  publish('e1');
  await router.died();
  assert.deepEqual(await status(), { waiting: 1, dead: 0 });
  assert.deepEqual([...router.pending], ['e1']);
  broken = false;
  await router.start('');
  await eventually('the queue is empty', () => router.pending.size === 0);
  await eventually('nothing waits', async () => (await status()).waiting === 0);
  assert.equal(application.callsTo('/bad').length, 2);
});
