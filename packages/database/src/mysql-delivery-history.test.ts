import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { DeliveryHistory, DeliveryPosition, DeliveryRecord } from './delivery-history.ts';
import type { DeliveryLog } from './delivery-log.ts';
import { createDeliveryHistory } from './mysql-delivery-history.ts';
import { createDeliveryLog } from './mysql-delivery-log.ts';
import { openTestDatabase, type TestDatabase } from './testing/database-fixture.ts';
import { instance } from './testing/sample-operation.ts';

let test: TestDatabase;
let log: DeliveryLog;
let history: DeliveryHistory;
let endpoints = 1;
before(async () => {
  test = await openTestDatabase();
  log = createDeliveryLog(test.database);
  history = createDeliveryHistory(test.database);
});
after(() => test.close());

async function dead(endpointId: number, eventId: string, route = 'team/r', target = 'app'): Promise<void> {
  const key = { endpointId, eventId, route, target };
  await log.park([{ ...key, attempt: 3, dueInMs: 60_000, reason: 'HTTP 500', body: Buffer.from('{}'), contentType: 'application/json' }]);
  await log.record([{ ...key, state: 'dead', attempt: 3, reason: '3 attempts failed: HTTP 500' }]);
}

describe('delivery history', () => {
  it('finds deliveries by event, state, route and target, the last to change first, page by page', async () => {
    const endpointId = endpoints++;
    await dead(endpointId, 'e1');
    await dead(endpointId, 'e2', 'team/other', 'b');
    await log.record([{ endpointId, eventId: 'e1', route: 'team/r', target: 'ok', state: 'succeeded', attempt: 1, detail: 'HTTP 204' }]);
    await dead(endpoints, 'e1');
    const targets = async (search: object) =>
      (await history.search({ endpointId, state: 'dead', limit: 10, ...search })).map(({ eventId, target }) => `${eventId} ${target}`);
    assert.deepEqual(await targets({}), ['e2 b', 'e1 app']);
    assert.deepEqual(await targets({ route: 'team/other' }), ['e2 b']);
    assert.deepEqual(await targets({ target: 'app' }), ['e1 app']);
    assert.deepEqual(await targets({ limit: 1 }), ['e2 b']);
    const [newest] = await history.search({ endpointId, state: 'dead', limit: 1 });
    assert.deepEqual(await targets({ before: newest?.updatedAt }), ['e1 app']);
    assert.deepEqual(await targets({ after: newest }), ['e1 app']);
    const ofEvent = await history.search({ endpointId, eventId: 'e1', limit: 10 });
    assert.deepEqual(ofEvent.map(({ target, state, detail }) => `${target} ${state} ${detail}`).sort(), [
      'app dead 3 attempts failed: HTTP 500',
      'ok succeeded HTTP 204',
    ]);
  });

  it('gives every delivery on one page and no other, also of those that changed at the same moment', async () => {
    const endpointId = endpoints++;
    const ids = Array.from({ length: 25 }, (_, index) => `e${index}`);
    const key = { endpointId, route: 'team/r', target: 'app' };
    await log.record(ids.map((eventId) => ({ ...key, eventId, state: 'dead', attempt: 1, reason: 'HTTP 500' })));
    const seen: string[] = [];
    let after: DeliveryPosition | undefined;
    do {
      const page: readonly DeliveryRecord[] = await history.search({ endpointId, state: 'dead', limit: 10, ...(after === undefined ? {} : { after }) });
      seen.push(...page.map(({ eventId }) => eventId));
      after = page.length === 10 ? page.at(-1) : undefined;
    } while (after !== undefined);
    assert.deepEqual(seen.toSorted(), ids.toSorted());
  });

  it('makes dead deliveries due again with all their attempts, those asked for and no others', async () => {
    const endpointId = endpoints++;
    for (const eventId of ['e1', 'e2', 'e3']) await dead(endpointId, eventId);
    await dead(endpointId, 'e1', 'team/other');
    await log.record([{ endpointId, eventId: 'no-body', route: 'team/r', target: 'app', state: 'dead', attempt: 1, reason: 'x' }]);
    assert.equal(await history.replay({ endpointId, route: 'team/r', eventId: 'e1', limit: 10 }), 1);
    assert.deepEqual(
      (await log.claimDue({ endpointId, owner: instance('r'), limit: 10, leaseMs: 60_000 })).map(({ eventId, attempt, body }) => [
        eventId,
        attempt,
        body.toString(),
      ]),
      [['e1', 0, '{}']],
    );
    assert.equal(await history.replay({ endpointId, route: 'team/r', limit: 1 }), 1);
    assert.equal(await history.replay({ endpointId, route: 'team/r', limit: 10 }), 1);
    assert.equal(await history.replay({ endpointId, route: 'team/r', limit: 10 }), 0);
    assert.deepEqual(await log.status(endpointId), { waiting: 3, dead: 2 });
  });

  it('tells what can be replayed, and leaves alone what died after that', async () => {
    const endpointId = endpoints++;
    for (const eventId of ['e1', 'e2']) await dead(endpointId, eventId);
    await log.record([{ endpointId, eventId: 'no-body', route: 'team/r', target: 'app', state: 'dead', attempt: 1, reason: 'x' }]);
    const { replayable, withoutMessage, asOf } = await history.replayable({ endpointId, route: 'team/r' });
    assert.deepEqual([replayable, withoutMessage], [2, 1]);
    assert.deepEqual({ ...(await history.replayable({ endpointId, target: 'none' })), asOf }, { replayable: 0, withoutMessage: 0, asOf });
    await new Promise((resolve) => setTimeout(resolve, 5));
    await dead(endpointId, 'late');
    assert.equal(await history.replay({ endpointId, before: asOf, limit: 10 }), 2);
    assert.equal(await history.replay({ endpointId, before: asOf, limit: 10 }), 0);
    assert.equal((await history.replayable({ endpointId })).replayable, 1);
  });

  it('adds up what routes delivered, from many routers at a time', async () => {
    const endpointId = endpoints++;
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        history.addCounts(endpointId, [
          { route: 'team/b', delivered: 0, died: 1, failure: { reason: `app: HTTP ${500 + index}`, agoMs: index * 60_000 } },
          { route: 'team/a', delivered: 3, died: 0 },
        ]),
      ),
    );
    const parked = { endpointId, target: 't', attempt: 1, dueInMs: 1000, reason: 'x', body: Buffer.from('{}'), contentType: '' };
    await log.park([
      { ...parked, route: 'team/c', eventId: 'e' },
      { ...parked, route: 'team/c', eventId: 'f' },
      { ...parked, route: 'team/b', eventId: 'e' },
    ]);
    await dead(endpointId, 'g', 'team/c');
    const [a, b, c] = await history.counts(endpointId);
    assert.deepEqual([a?.route, a?.delivered, a?.died, a?.dead, a?.waiting, a?.lastFailure], ['team/a', 60, 0, 0, 0, null]);
    assert.ok(a?.lastDeliveredAt instanceof Date && Math.abs(a.lastDeliveredAt.getTime() - Date.now()) < 60_000);
    assert.deepEqual([b?.route, b?.delivered, b?.died, b?.dead, b?.waiting, b?.lastDeliveredAt], ['team/b', 0, 20, 0, 1, null]);
    assert.equal(b?.lastFailure?.reason, 'app: HTTP 500', 'the latest stands, in whatever order they were written');
    assert.ok(Math.abs((b?.lastFailure?.at.getTime() ?? 0) - Date.now()) < 30_000);
    assert.deepEqual(c, { route: 'team/c', delivered: 0, died: 0, lastDeliveredAt: null, lastFailure: null, waiting: 2, dead: 1 });
  });
});
