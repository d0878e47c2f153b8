import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeliveryHistory } from '@skiff/database/delivery-history';
import { createDeliveryHistory } from '@skiff/database/mysql-delivery-history';
import { createOperationLog } from '@skiff/database/mysql-operation-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { sampleIntent } from '@skiff/database/testing/sample-operation';
import { EventRoutes, SftpEndpoints } from '@skiff/kube/resource-type';
import { isRecord } from '@skiff/model/is-record';
import { sql } from 'kysely';
import { conditionOf } from './conditions.ts';
import { endpointManifest, routeManifest } from './manifests.ts';
import { OperatorRig } from './operator-rig.ts';
import { until } from './until.ts';

let rig: OperatorRig;
let history: DeliveryHistory;
let endpointId: number;

before(async () => {
  rig = await OperatorRig.start({ endpointNamespaces: ['default'] });
  history = createDeliveryHistory(rig.database.database);
  const events = { serviceBus: { namespace: 'contoso.servicebus.windows.net', queue: 'files' } };
  await rig.apply(endpointManifest('default', 'main', { events }), routeManifest('default', 'busy'), routeManifest('default', 'quiet'));
  endpointId = await createResourceRepository(rig.database.database).endpointId('default', 'main');
});
after(() => rig?.[Symbol.asyncDispose]());

async function deliveriesOf(name: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  const status = (await rig.get(EventRoutes, name))?.status;
  return isRecord(status) && isRecord(status.deliveries) ? status.deliveries : undefined;
}

async function atRest(): Promise<boolean> {
  const writes = await rig.apiWrites();
  await sleep(3_000);
  return (await rig.apiWrites()) === writes;
}

it('shows what a route delivered in its status, by one write in a minute, and writes nothing for a route without traffic', async () => {
  const operator = await rig.startOperator('operator-0');
  await operator.waitFor('leadership', (line) => line.msg === 'leading', 30_000);
  await until('busy is ready', 'True Ready', () => rig.condition(EventRoutes, 'busy', 'Ready'));
  await until('quiet is ready', 'True Ready', () => rig.condition(EventRoutes, 'quiet', 'Ready'));
  assert.equal(await deliveriesOf('busy'), undefined);
  const quietVersion = (await rig.get(EventRoutes, 'quiet'))?.metadata.resourceVersion;
  await until('rest after the start', true, atRest, 60_000);
  const writesBefore = await rig.apiWrites();
  for (let step = 0; step < 10; step++) {
    await history.addCounts(endpointId, [{ route: 'default/busy', delivered: 3, died: 0, failure: { reason: 'app: HTTP 503', agoMs: 0 } }]);
    await sleep(200);
  }
  const tookMs = await until('the counters are there', 30, async () => (await deliveriesOf('busy'))?.succeeded, 90_000);
  console.log(`counters are in the status after ${tookMs} ms`);
  const { lastSuccessTime, lastFailureTime, ...rest } = (await deliveriesOf('busy')) ?? {};
  assert.deepEqual(rest, { succeeded: 30, retrying: 0, dead: 0, lastFailureReason: 'app: HTTP 503' });
  for (const time of [lastSuccessTime, lastFailureTime]) assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 180_000, String(time));
  assert.equal((await rig.apiWrites()) - writesBefore, 1, 'one write for ten changes');
  assert.equal(await rig.condition(EventRoutes, 'busy', 'Ready'), 'True Ready');

  const shown = await rig.kubectl(['get', 'evr', 'busy', '-o', 'wide']);
  assert.match(shown, /SUCCEEDED +RETRYING +DEAD/);
  assert.match(shown, / 30 +0 +0 /);

  // A new leader goes on from what stands there, and a change of the route keeps the counters.
  await operator.stop();
  const next = await rig.startOperator('operator-1');
  await next.waitFor('leadership', (line) => line.msg === 'leading', 60_000);
  await rig.client.mergePatch(
    EventRoutes,
    { namespace: 'default', name: 'busy' },
    { spec: { endpointRef: { name: 'main' }, match: { usernames: ['anna'] } } },
    { signal: AbortSignal.timeout(10_000) },
  );
  const generation = (await rig.get(EventRoutes, 'busy'))?.metadata.generation;
  await until('the change is seen', generation, async () => {
    const status = (await rig.get(EventRoutes, 'busy'))?.status;
    return isRecord(status) && typeof status.observedGeneration === 'number' ? status.observedGeneration : undefined;
  });
  assert.equal((await deliveriesOf('busy'))?.succeeded, 30);
  assert.equal((await rig.get(EventRoutes, 'quiet'))?.metadata.resourceVersion, quietVersion);
  await next.stop();
});

it('says at the endpoint that its events wait for the bus, once, and takes that back when they have gone', async () => {
  const log = createOperationLog(rig.database.database);
  const intent = sampleIntent({ path: '/late', endpointId, planned: true });
  assert.equal((await log.begin(intent)).kind, 'begun');
  await log.committed({ id: intent.id, epoch: 1 }, { etag: '"1"' });
  const { queries } = rig.database.database;
  await queries
    .updateTable('operations')
    .set({ updated_at: sql<Date>`updated_at - INTERVAL 90 SECOND` })
    .where('id', '=', Buffer.from(intent.id, 'hex'))
    .execute();
  const delayed = () => rig.condition(SftpEndpoints, 'main', 'EventsDelayed');
  const operator = await rig.startOperator('operator-2');
  await operator.waitFor('leadership', (line) => line.msg === 'leading', 60_000);
  await until('events are late', 'True EventsWaiting', delayed);
  assert.match(conditionOf(await rig.get(SftpEndpoints, 'main'), 'EventsDelayed')?.message ?? '', /"publishing failed"/);
  await until('the Event is there', true, async () => (await rig.kubectl(['get', 'events'])).includes('EventsWaiting'));
  await until('rest', true, atRest, 60_000);
  const writes = await rig.apiWrites();
  await log.published([intent.id]);
  await until('events are late no longer', '', delayed, 90_000);
  await until('that Event too', true, async () => (await rig.kubectl(['get', 'events'])).includes('EventsPublished'));
  assert.equal((await rig.apiWrites()) - writes, 2, 'the status and the Event');
  await operator.stop();
});
