import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { sql } from 'kysely';
import { createOperationLog } from './mysql-operation-log.ts';
import type { OperationLog } from './operation-log.ts';
import { claimAmong, findUnclaimed, lowestOfPaths } from './operations/outbox.ts';
import { type OperationLogFixture, openOperationLogFixture } from './testing/operation-log-fixture.ts';
import { instance, sampleIntent } from './testing/sample-operation.ts';

let fixture: OperationLogFixture;
let log: OperationLog;

before(async () => {
  fixture = await openOperationLogFixture();
  log = fixture.log;
});
after(() => fixture.close());

describe('outbox', () => {
  it('keeps a fresh event for its own instance, then gives it to any', async () => {
    const endpointId = fixture.newEndpointId();
    const first = await fixture.commit(endpointId, '/p/1');
    const second = await fixture.commit(endpointId, '/p/2');
    assert.deepEqual(await log.claimPublishable(endpointId, instance('pod-2'), 10), []);
    await log.releasePublishable([first, second]);
    const claimed = await log.claimPublishable(endpointId, instance('pod-2'), 10);
    assert.deepEqual(
      claimed.map((entry) => entry.id),
      [first, second],
    );
    assert.deepEqual(await log.claimPublishable(endpointId, instance('pod-3'), 10), []);
    assert.equal((await log.outboxStatus(endpointId)).waiting, 2);
    await log.published([first, second]);
    assert.deepEqual(await log.outboxStatus(endpointId), { waiting: 0, oldestAgeMs: 0, refused: 0 });
  });

  it('claims in order only the lowest event of each path, whoever has it', async () => {
    const endpointId = fixture.newEndpointId();
    const one = await fixture.commit(endpointId, '/o/a');
    const two = await fixture.commit(endpointId, '/o/a');
    const other = await fixture.commit(endpointId, '/o/b');
    const next = async (owner: string) => (await log.claimLowestOfPaths(endpointId, instance(owner), 10)).map(({ id }) => id);
    // All are claimed by the instance that committed them: it may go on with its own, and nobody else yet.
    assert.deepEqual(await next('pod-2'), []);
    assert.deepEqual(await next('pod-1'), [one, other]);
    await log.published([other]);
    assert.deepEqual(await next('pod-2'), []);
    await log.releasePublishable([one, two]);
    assert.deepEqual(await next('pod-2'), [one]);
    assert.deepEqual(await next('pod-1'), [], 'the second waits while the first is on its way');
    await log.refused([{ id: one, reason: 'too large' }]);
    assert.deepEqual(await next('pod-1'), [two]);
  });

  it('takes a rename for an event of both its names, also one that has to wait itself', () => {
    const row = (blob_name: string, target_blob_name: string | null = null) => ({ storage: 's', blob_name, target_blob_name });
    const rows = [row('a'), row('b', 'c'), row('c'), row('b'), row('d'), row('e', 'a'), row('e')];
    assert.deepEqual(lowestOfPaths(rows), [rows[0], rows[1], rows[4]]);
  });

  it('keeps an event that the bus refused apart, with the reason, past every retention, until it is readmitted', async () => {
    const endpointId = fixture.newEndpointId();
    const [large, small] = [await fixture.commit(endpointId, '/q/1'), await fixture.commit(endpointId, '/q/2')];
    await log.releasePublishable([large, small]);
    await log.claimPublishable(endpointId, instance('pod-1'), 10);
    await log.refused([{ id: large, reason: 'too large: 70000 bytes' }]);
    await log.published([small]);
    assert.deepEqual(await log.outboxStatus(endpointId), { waiting: 0, oldestAgeMs: 0, refused: 1 });
    while ((await log.prune(0, 1_000)) > 0);
    assert.equal((await log.find(large))?.state, 'refused');
    const kept = await fixture.database.queries.selectFrom('operations').select('reason').where('id', '=', Buffer.from(large, 'hex')).executeTakeFirst();
    assert.equal(kept?.reason, 'too large: 70000 bytes');
    assert.deepEqual(await log.claimPublishable(endpointId, instance('pod-1'), 10), []);
    assert.equal(await log.readmitRefused(endpointId), 1);
    assert.deepEqual(
      (await log.claimPublishable(endpointId, instance('pod-1'), 10)).map(({ id }) => id),
      [large],
    );
    await log.published([large]);
    await log.refused([{ id: large, reason: 'late' }]);
    assert.equal((await log.find(large))?.state, 'published');
  });

  it('does not wait an hour for a claim when the database clock goes back an hour', async () => {
    const endpointId = fixture.newEndpointId();
    const id = await fixture.commit(endpointId, '/clock');
    await fixture.database.queries
      .updateTable('operations')
      .set({ claim_until: sql<Date>`UTC_TIMESTAMP(3) + INTERVAL 1 HOUR` })
      .where('id', '=', Buffer.from(id, 'hex'))
      .execute();
    assert.equal((await log.claimPublishable(endpointId, instance('pod-2'), 10)).length, 1);
  });

  it('gives 5,000 events to three relays without giving one twice, lowest first', async () => {
    const endpointId = fixture.newEndpointId();
    await Promise.all(Array.from({ length: 5_000 }, (_, index) => fixture.commit(endpointId, `/r/${index}`)));
    await fixture.freeClaims();
    const relays = ['pod-a', 'pod-b', 'pod-c'].map(async (owner) => {
      const own = createOperationLog(fixture.database);
      const mine: string[] = [];
      for (;;) {
        const batch = await own.claimPublishable(endpointId, instance(owner), 100);
        const sequences = batch.map((entry) => entry.event.sequence ?? '');
        assert.deepEqual(sequences, [...sequences].sort());
        if (batch.length === 0) return mine;
        mine.push(...batch.map((entry) => entry.id));
        await own.published(batch.map((entry) => entry.id));
      }
    });
    const all = (await Promise.all(relays)).flat();
    assert.equal(all.length, 5_000);
    assert.equal(new Set(all).size, 5_000);
  });

  it('locks hardly more rows than a claim returns', async () => {
    const endpointId = fixture.newEndpointId();
    const ids = await Promise.all(Array.from({ length: 300 }, (_, index) => fixture.commit(endpointId, `/l/${index}`)));
    await log.releasePublishable(ids);
    // The first hundred are passed, because they are claimed.
    await log.claimPublishable(endpointId, instance('pod-2'), 100);
    await fixture.database.queries.transaction().execute(async (trx) => {
      const candidates = await findUnclaimed(trx, endpointId, 100);
      assert.equal((await claimAmong(trx, { endpointId, owner: instance('pod-3'), limit: 50, candidates })).length, 50);
      // What another relay can still lock, through the same index.
      const { rows } = await fixture.database.queries
        .transaction()
        .execute((other) =>
          sql`SELECT id FROM operations FORCE INDEX (operations_unfinished_and_outbox) WHERE endpoint_id = ${endpointId} AND state = 'committed' FOR UPDATE SKIP LOCKED`.execute(
            other,
          ),
        );
      assert.equal(rows.length, 250);
    });
  });

  it('tells the age of the oldest event that waits, also behind one of a lower sequence that was committed late', async () => {
    const endpointId = fixture.newEndpointId();
    assert.deepEqual(await log.outboxStatus(endpointId), { waiting: 0, oldestAgeMs: 0, refused: 0 });
    const late = sampleIntent({ path: '/late', endpointId, planned: true });
    const ref = await fixture.begin(late);
    const old = await fixture.commit(endpointId, '/old');
    await fixture.database.queries
      .updateTable('operations')
      .set({ updated_at: sql<Date>`updated_at - INTERVAL 90 SECOND` })
      .where('id', '=', Buffer.from(old, 'hex'))
      .execute();
    await log.committed(ref, { etag: '"1"' });
    const { waiting, oldestAgeMs } = await log.outboxStatus(endpointId);
    assert.equal(waiting, 2);
    assert.ok(oldestAgeMs >= 90_000 && oldestAgeMs < 180_000, `${oldestAgeMs} ms`);
  });

  it('finishes an operation whose event nobody wants: no lock, no event, no row for ever', async () => {
    const endpointId = fixture.newEndpointId();
    const intents = ['/quiet', '/told'].map((path) => sampleIntent({ path, endpointId, planned: true }));
    const refs = await Promise.all(intents.map(fixture.begin));
    // Together, so that they share a transaction.
    const events = await Promise.all(refs.map((ref, index) => log.committed(ref, { etag: '"1"', unannounced: index === 0 })));
    assert.ok(events.every((event) => event !== undefined));
    const [quiet, told] = refs;
    assert.ok(quiet !== undefined && told !== undefined);
    assert.deepEqual(await log.committed(quiet, { etag: '"1"', unannounced: true }), events[0], 'said again, it is the same');
    assert.deepEqual([(await log.find(quiet.id))?.state, (await log.find(told.id))?.state], ['published', 'committed']);
    assert.equal(await fixture.countLocks(quiet.id), 0);
    await fixture.freeClaims();
    assert.deepEqual(
      (await log.claimPublishable(endpointId, instance('relay'), 10)).map(({ id }) => id),
      [told.id],
    );
    assert.equal((await log.outboxStatus(endpointId)).waiting, 1);
    await fixture.database.queries
      .updateTable('operations')
      .set({ finished_at: sql<Date>`finished_at - INTERVAL 1 HOUR` })
      .where('endpoint_id', '=', endpointId)
      .execute();
    await log.prune(60_000, 1_000);
    assert.deepEqual([(await log.find(quiet.id))?.state, (await log.find(told.id))?.state], [undefined, 'committed']);
  });
});
