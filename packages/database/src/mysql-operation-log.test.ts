import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { formatSequence } from '@skiff/model/file-event';
import { lockKeyOf, type OperationId } from '@skiff/model/upload-state';
import { sql } from 'kysely';
import { createOperationLog } from './mysql-operation-log.ts';
import type { OperationIntent, OperationLog, OperationRef } from './operation-log.ts';
import { claimAmong, findUnclaimed, lowestOfPaths } from './operations/outbox.ts';
import { openTestDatabase, type TestDatabase } from './testing/database-fixture.ts';
import { instance, newOperationId, sampleIntent, samplePlan } from './testing/sample-operation.ts';

let test: TestDatabase;
let log: OperationLog;
let endpoints = 100;

before(async () => {
  test = await openTestDatabase();
  log = createOperationLog(test.database);
});
after(() => test.close());

async function begin(intent: OperationIntent): Promise<OperationRef> {
  const result = await log.begin(intent);
  assert.equal(result.kind, 'begun');
  return { id: intent.id, epoch: result.kind === 'begun' ? result.epoch : 0 };
}

async function commit(endpointId: number, path: string): Promise<OperationId> {
  const intent = sampleIntent({ path, endpointId, planned: true });
  const ref = await begin(intent);
  assert.ok(await log.committed(ref, { etag: '"1"' }));
  return intent.id;
}

const freeClaims = () => test.database.queries.updateTable('operations').set({ claim_until: null }).execute();
const locksOf = async (id: OperationId) =>
  (await test.database.queries.selectFrom('operation_locks').selectAll().where('operation_id', '=', Buffer.from(id, 'hex')).execute()).length;

describe('operation log', () => {
  it('leads an upload from its lock to its published event', async () => {
    const intent = sampleIntent({ path: '/a/ü %20.csv' });
    const ref = await begin(intent);
    const open = await log.find(intent.id);
    assert.equal(open?.state, 'open');
    assert.equal(open.blobName, intent.blobName);
    assert.equal(open.plan, null);
    const plan = { ...samplePlan(intent.id, '/a'), priorEtag: '"0"', sourceEtag: '"s"' };
    const answer = await log.committing(ref, plan);
    assert.ok(answer !== undefined && answer.sequence > 0n);
    const committing = await log.find(intent.id);
    assert.deepEqual(committing?.plan, plan);
    assert.equal(committing.priorEtag, '"0"');
    assert.ok(Math.abs(committing.createdAt.getTime() - Date.now()) < 60_000, 'times are UTC');
    const event = await log.committed(ref, { etag: '"1"' });
    assert.deepEqual(event, {
      ...plan.event,
      sequence: formatSequence(answer.sequence),
      data: { ...plan.event.data, blob: { ...plan.event.data.blob, etag: '"1"' } },
    });
    assert.equal(await locksOf(intent.id), 0);
    await log.published([intent.id]);
    assert.equal((await log.find(intent.id))?.state, 'published');
  });

  it('lets exactly one of 100 concurrent writers have a name', async () => {
    const intents = Array.from({ length: 100 }, (_, index) => sampleIntent({ path: '/one', owner: `pod-${index % 3}` }));
    // Two processes, so that not all of them meet in one transaction.
    const other = createOperationLog(test.database);
    const results = await Promise.all(intents.map((intent, index) => (index % 2 === 0 ? log : other).begin(intent)));
    const winner = intents[results.findIndex((result) => result.kind === 'begun')];
    assert.equal(results.filter((result) => result.kind === 'begun').length, 1);
    for (const result of results) if (result.kind === 'locked') assert.equal(result.holder?.id, winner?.id);
  });

  it('gives every name to exactly one writer when many want many', async () => {
    const other = createOperationLog(test.database);
    const intents = Array.from({ length: 400 }, (_, index) => {
      const [first, second] = [sampleIntent({ path: `/many/${index % 20}` }), sampleIntent({ path: `/many/${(index * 7 + 3) % 20}` })];
      return { ...first, kind: 'rename' as const, lockKeys: [...first.lockKeys, ...second.lockKeys] };
    });
    const results = await Promise.all(intents.map((intent, index) => (index % 2 === 0 ? log : other).begin(intent)));
    const taken = intents
      .filter((_, index) => results[index]?.kind === 'begun')
      .flatMap((intent) => [...new Set(intent.lockKeys.map((key) => key.toString('hex')))]);
    assert.equal(new Set(taken).size, taken.length, 'no key has two holders');
    const held = await test.database.queries.selectFrom('operation_locks').selectAll().execute();
    const ids = new Set(intents.map((intent) => intent.id));
    assert.equal(held.filter((lock) => ids.has(lock.operation_id.toString('hex') as OperationId)).length, taken.length, 'losers hold nothing');
    assert.ok(taken.length > 0);
  });

  it('takes all locks of a rename or none', async () => {
    await begin(sampleIntent({ path: '/taken' }));
    const source = sampleIntent({ path: '/free' });
    const rename = { ...source, kind: 'rename' as const, lockKeys: [...source.lockKeys, ...sampleIntent({ path: '/taken' }).lockKeys] };
    assert.equal((await log.begin(rename)).kind, 'locked');
    await begin(sampleIntent({ path: '/free' }));
  });

  it('answers a repeated begin as it did the first time', async () => {
    const intent = sampleIntent({ path: '/repeat', planned: true });
    const first = await log.begin(intent);
    assert.deepEqual(await log.begin(intent), first);
    const ref = { id: intent.id, epoch: 1 };
    await log.adopt(ref, instance('pod-2'));
    assert.equal((await log.begin(intent)).kind, 'locked', 'not when the row has a new owner');
    await log.abort({ ...ref, epoch: 2 }, 'test');
    assert.deepEqual(await log.begin(intent), { kind: 'locked', holder: undefined }, 'nor when it has ended');
  });

  it('lets a displaced writer do nothing', async () => {
    const intent = sampleIntent({ path: '/displaced' });
    const old = await begin(intent);
    const next = await log.adopt(old, instance('pod-2'));
    assert.deepEqual(next, { id: intent.id, epoch: 2 });
    assert.equal(await log.adopt(old, instance('pod-3')), undefined);
    assert.equal(await log.committing(old, samplePlan(intent.id, '/x')), undefined);
    assert.equal(await log.abort(old, 'no'), false);
    assert.equal(await log.park(old), false);
    assert.equal(await log.setPriorEtag(old, '"9"'), false);
    const plan = samplePlan(intent.id, '/displaced');
    assert.ok(await log.committing({ id: intent.id, epoch: 2 }, plan));
    assert.equal(await log.committed(old, { etag: '"1"' }), undefined);
    const row = await log.find(intent.id);
    assert.deepEqual([row?.state, row?.epoch, row?.owner, row?.priorEtag], ['committing', 2, 'pod-2', null]);
  });

  it('gives one of many adopters the row', async () => {
    const ref = await begin(sampleIntent({ path: '/adopt' }));
    const results = await Promise.all(Array.from({ length: 20 }, () => log.adopt(ref, instance('pod-2'))));
    assert.equal(results.filter((result) => result !== undefined).length, 1);
  });

  it('gives the same answer when a transition is repeated', async () => {
    const intent = sampleIntent({ path: '/again' });
    const ref = await begin(intent);
    const plan = samplePlan(intent.id, '/again');
    const [first, twice] = await Promise.all([log.committing(ref, plan), log.committing(ref, plan)]);
    assert.deepEqual(first, twice);
    const event = await log.committed(ref, { etag: '"1"', unconfirmed: true });
    assert.equal(event?.data.unconfirmed, true);
    assert.deepEqual(await log.committed(ref, { etag: '"2"' }), event);
    await log.published([intent.id]);
    assert.deepEqual(await log.committed(ref, { etag: '"2"' }), event);
    assert.equal(await log.abort(ref, 'too late'), false);
    const aborted = await begin(sampleIntent({ path: '/again' }));
    assert.deepEqual([await log.abort(aborted, 'a'), await log.abort(aborted, 'b')], [true, true]);
    assert.equal(await log.committing(aborted, plan), undefined);
  });

  it('frees the name when an operation is aborted, and not when it is parked', async () => {
    const intent = sampleIntent({ path: '/freed' });
    const ref = await begin(intent);
    assert.equal(await log.park(ref), true);
    const refused = await log.begin(sampleIntent({ path: '/freed' }));
    assert.equal(refused.kind === 'locked' && refused.holder?.owner, null);
    assert.equal((await log.findByLock(lockKeyOf(intent.storage, intent.blobName)))?.id, intent.id);
    assert.equal(await log.abort(ref, 'r'.repeat(5_000)), true);
    assert.equal(await log.findByLock(lockKeyOf(intent.storage, intent.blobName)), undefined);
    await begin(sampleIntent({ path: '/freed' }));
  });

  it('does not fold names that differ in case, accents or trailing spaces', async () => {
    for (const path of ['/Name', '/name', '/näme', '/name ']) await begin(sampleIntent({ path }));
  });

  it('keeps a block list of 50,000 blocks, compactly', async () => {
    const intent = sampleIntent({ path: '/huge' });
    const ref = await begin(intent);
    const blocks = Array.from({ length: 50_000 }, (_, index) => ({
      id: `${intent.id}0001${(index * 4_194_304).toString(16).padStart(12, '0')}00400000`,
      sizeBytes: 4_194_304,
    }));
    const plan = { ...samplePlan(intent.id, '/huge'), blocks };
    assert.ok(await log.committing(ref, plan));
    assert.deepEqual((await log.find(intent.id))?.plan, plan);
    const { rows } = await sql<{ bytes: number }>`SELECT LENGTH(plan) AS bytes FROM operations WHERE id = ${Buffer.from(intent.id, 'hex')}`.execute(
      test.database.queries,
    );
    assert.ok(Number(rows[0]?.bytes) < 1 << 20, `${rows[0]?.bytes} bytes`);
  });

  it('finds the operations that somebody has to finish before those that only wait', async () => {
    const endpointId = endpoints++;
    const parked = await begin(sampleIntent({ path: '/o/parked', endpointId }));
    await log.park(parked);
    const dead = sampleIntent({ path: '/o/dead', endpointId, owner: 'pod-dead', planned: true });
    await begin(dead);
    await begin(sampleIntent({ path: '/o/alive', endpointId, owner: 'pod-alive' }));
    const found = await log.findOrphans(endpointId, [instance('pod-alive')], 10);
    assert.deepEqual(
      found.map((row) => row.id),
      [dead.id, parked.id],
    );
    assert.equal((await log.findOrphans(endpointId, [], 10)).length, 3);
    assert.equal((await log.findOrphans(endpointId, [instance('pod-alive')], 1))[0]?.id, dead.id);
    assert.deepEqual(
      (await log.findExpiredOpen(endpointId, { newFileMs: 0, overwriteMs: 0 }, 10)).map((row) => row.id),
      [parked.id],
    );
    assert.equal((await log.findExpiredOpen(endpointId, { newFileMs: 60_000, overwriteMs: 60_000 }, 10)).length, 0);
  });

  it('keeps a fresh event for its own instance, then gives it to any', async () => {
    const endpointId = endpoints++;
    const first = await commit(endpointId, '/p/1');
    const second = await commit(endpointId, '/p/2');
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

  it('claims in order only the lowest event of each path, whoever has it, and a rename for both its names', async () => {
    const endpointId = endpoints++;
    const one = await commit(endpointId, '/o/a');
    const two = await commit(endpointId, '/o/a');
    const other = await commit(endpointId, '/o/b');
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
    const row = (blob_name: string, target_blob_name: string | null = null) => ({ storage: 's', blob_name, target_blob_name });
    const rows = [row('a'), row('b', 'c'), row('c'), row('b'), row('d'), row('e', 'a')];
    assert.deepEqual(lowestOfPaths(rows), [rows[0], rows[1], rows[4]]);
  });

  it('keeps an event that the bus refused apart, with the reason, past every retention, until it is readmitted', async () => {
    const endpointId = endpoints++;
    const [large, small] = [await commit(endpointId, '/q/1'), await commit(endpointId, '/q/2')];
    await log.releasePublishable([large, small]);
    await log.claimPublishable(endpointId, instance('pod-1'), 10);
    await log.refused([{ id: large, reason: 'too large: 70000 bytes' }]);
    await log.published([small]);
    assert.deepEqual(await log.outboxStatus(endpointId), { waiting: 0, oldestAgeMs: 0, refused: 1 });
    while ((await log.prune(0, 1_000)) > 0);
    assert.equal((await log.find(large))?.state, 'refused');
    const kept = await test.database.queries.selectFrom('operations').select('reason').where('id', '=', Buffer.from(large, 'hex')).executeTakeFirst();
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
    const endpointId = endpoints++;
    const id = await commit(endpointId, '/clock');
    await test.database.queries
      .updateTable('operations')
      .set({ claim_until: sql<Date>`UTC_TIMESTAMP(3) + INTERVAL 1 HOUR` })
      .where('id', '=', Buffer.from(id, 'hex'))
      .execute();
    assert.equal((await log.claimPublishable(endpointId, instance('pod-2'), 10)).length, 1);
  });

  it('gives 5,000 events to three relays without giving one twice, lowest first', async () => {
    const endpointId = endpoints++;
    await Promise.all(Array.from({ length: 5_000 }, (_, index) => commit(endpointId, `/r/${index}`)));
    await freeClaims();
    const relays = ['pod-a', 'pod-b', 'pod-c'].map(async (owner) => {
      const own = createOperationLog(test.database);
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
    const endpointId = endpoints++;
    const ids = await Promise.all(Array.from({ length: 300 }, (_, index) => commit(endpointId, `/l/${index}`)));
    await log.releasePublishable(ids);
    // The first hundred are passed, because they are claimed.
    await log.claimPublishable(endpointId, instance('pod-2'), 100);
    await test.database.queries.transaction().execute(async (trx) => {
      const candidates = await findUnclaimed(trx, endpointId, 100);
      assert.equal((await claimAmong(trx, { endpointId, owner: instance('pod-3'), limit: 50, candidates })).length, 50);
      // What another relay can still lock, through the same index.
      const { rows } = await test.database.queries
        .transaction()
        .execute((other) =>
          sql`SELECT id FROM operations FORCE INDEX (operations_unfinished_and_outbox) WHERE endpoint_id = ${endpointId} AND state = 'committed' FOR UPDATE SKIP LOCKED`.execute(
            other,
          ),
        );
      assert.equal(rows.length, 250);
    });
  });

  it('forgets finished operations in bounded batches, and nothing else', async () => {
    await Promise.all(Array.from({ length: 30 }, async (_, index) => log.published([await commit(1, `/prune/${index}`)])));
    const unfinished = await begin(sampleIntent({ path: '/prune/unfinished' }));
    assert.equal(await log.prune(3_600_000, 10), 0);
    assert.equal(await log.prune(0, 10), 10);
    while ((await log.prune(0, 1_000)) > 0);
    const left = await test.database.queries.selectFrom('operations').select('state').distinct().execute();
    assert.deepEqual(
      left.map((row) => row.state).filter((state) => state === 'published' || state === 'aborted'),
      [],
    );
    assert.ok(await log.find(unfinished.id));
  });

  it('fails alone with what the database refuses', async () => {
    const good = sampleIntent({ path: '/good' });
    const bad = { ...sampleIntent({ path: '/bad' }), username: 'x'.repeat(100) };
    const [one, two] = await Promise.allSettled([log.begin(good), log.begin(bad)]);
    assert.equal(one.status === 'fulfilled' && one.value.kind, 'begun');
    assert.equal(two.status === 'rejected' && two.reason.code, 'invalid');
  });

  it('draws greater sequences for later operations of one path', async () => {
    let last = 0n;
    for (let round = 0; round < 10; round++) {
      const intent = sampleIntent({ path: '/seq', planned: true, id: newOperationId() });
      const result = await log.begin(intent);
      assert.ok(result.kind === 'begun' && result.sequence !== null && result.sequence > last);
      last = result.sequence;
      await log.committed({ id: intent.id, epoch: 1 }, { etag: undefined });
    }
  });

  it('tells the age of the oldest event that waits, also behind one of a lower sequence that was committed late', async () => {
    const endpointId = ++endpoints;
    assert.deepEqual(await log.outboxStatus(endpointId), { waiting: 0, oldestAgeMs: 0, refused: 0 });
    const late = sampleIntent({ path: '/late', endpointId, planned: true });
    const ref = await begin(late);
    const old = await commit(endpointId, '/old');
    await test.database.queries
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
    const endpointId = ++endpoints;
    const intents = ['/quiet', '/told'].map((path) => sampleIntent({ path, endpointId, planned: true }));
    const refs = await Promise.all(intents.map(begin));
    // Together, so that they share a transaction.
    const events = await Promise.all(refs.map((ref, index) => log.committed(ref, { etag: '"1"', unannounced: index === 0 })));
    assert.ok(events.every((event) => event !== undefined));
    const [quiet, told] = refs;
    assert.ok(quiet !== undefined && told !== undefined);
    assert.deepEqual(await log.committed(quiet, { etag: '"1"', unannounced: true }), events[0], 'said again, it is the same');
    assert.deepEqual([(await log.find(quiet.id))?.state, (await log.find(told.id))?.state], ['published', 'committed']);
    assert.equal(await locksOf(quiet.id), 0);
    await freeClaims();
    assert.deepEqual(
      (await log.claimPublishable(endpointId, instance('relay'), 10)).map(({ id }) => id),
      [told.id],
    );
    assert.equal((await log.outboxStatus(endpointId)).waiting, 1);
    await test.database.queries
      .updateTable('operations')
      .set({ finished_at: sql<Date>`finished_at - INTERVAL 1 HOUR` })
      .where('endpoint_id', '=', endpointId)
      .execute();
    await log.prune(60_000, 1_000);
    assert.deepEqual([(await log.find(quiet.id))?.state, (await log.find(told.id))?.state], [undefined, 'committed']);
  });

  it('finishes hundreds of operations a second for 50 callers', async (context) => {
    const count = 3_000;
    let next = 0;
    const startedAt = performance.now();
    const caller = async () => {
      while (next < count) {
        const intent = sampleIntent({ path: `/t/${next++}` });
        const ref = await begin(intent);
        assert.ok(await log.committing(ref, samplePlan(intent.id, '/t')));
        assert.ok(await log.committed(ref, { etag: '"1"' }));
        await log.published([intent.id]);
      }
    };
    await Promise.all(Array.from({ length: 50 }, caller));
    const perSecond = count / ((performance.now() - startedAt) / 1_000);
    context.diagnostic(`${Math.round(perSecond)} begin → committing → committed → published per second`);
    // Alone on two cores it is 2,500 to 3,000; one transaction per call would be below 300.
    assert.ok(perSecond > 400, `${perSecond} per second`);
  });
});
