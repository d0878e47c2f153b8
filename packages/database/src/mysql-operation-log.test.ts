import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { formatSequence } from '@skiff/model/file-event';
import { lockKeyOf, type OperationId } from '@skiff/model/upload-state';
import { sql } from 'kysely';
import { createOperationLog } from './mysql-operation-log.ts';
import type { OperationLog } from './operation-log.ts';
import { type OperationLogFixture, openOperationLogFixture } from './testing/operation-log-fixture.ts';
import { instance, newOperationId, sampleIntent, samplePlan } from './testing/sample-operation.ts';

let fixture: OperationLogFixture;
let log: OperationLog;

before(async () => {
  fixture = await openOperationLogFixture();
  log = fixture.log;
});
after(() => fixture.close());

describe('operation log', () => {
  it('leads an upload from its lock to its published event', async () => {
    const intent = sampleIntent({ path: '/a/ü %20.csv' });
    const ref = await fixture.begin(intent);
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
    assert.equal(await fixture.countLocks(intent.id), 0);
    await log.published([intent.id]);
    assert.equal((await log.find(intent.id))?.state, 'published');
  });

  it('lets exactly one of 100 concurrent writers have a name', async () => {
    const intents = Array.from({ length: 100 }, (_, index) => sampleIntent({ path: '/one', owner: `pod-${index % 3}` }));
    // Two processes, so that not all of them meet in one transaction.
    const other = createOperationLog(fixture.database);
    const results = await Promise.all(intents.map((intent, index) => (index % 2 === 0 ? log : other).begin(intent)));
    const winner = intents[results.findIndex((result) => result.kind === 'begun')];
    assert.equal(results.filter((result) => result.kind === 'begun').length, 1);
    for (const result of results) if (result.kind === 'locked') assert.equal(result.holder?.id, winner?.id);
  });

  it('gives every name to exactly one writer when many want many', async () => {
    const other = createOperationLog(fixture.database);
    const intents = Array.from({ length: 400 }, (_, index) => {
      const [first, second] = [sampleIntent({ path: `/many/${index % 20}` }), sampleIntent({ path: `/many/${(index * 7 + 3) % 20}` })];
      return { ...first, kind: 'rename' as const, lockKeys: [...first.lockKeys, ...second.lockKeys] };
    });
    const results = await Promise.all(intents.map((intent, index) => (index % 2 === 0 ? log : other).begin(intent)));
    const taken = intents
      .filter((_, index) => results[index]?.kind === 'begun')
      .flatMap((intent) => [...new Set(intent.lockKeys.map((key) => key.toString('hex')))]);
    assert.equal(new Set(taken).size, taken.length, 'no key has two holders');
    const held = await fixture.database.queries.selectFrom('operation_locks').selectAll().execute();
    const ids = new Set(intents.map((intent) => intent.id));
    assert.equal(held.filter((lock) => ids.has(lock.operation_id.toString('hex') as OperationId)).length, taken.length, 'losers hold nothing');
    assert.ok(taken.length > 0);
  });

  it('takes all locks of a rename or none', async () => {
    await fixture.begin(sampleIntent({ path: '/taken' }));
    const source = sampleIntent({ path: '/free' });
    const rename = { ...source, kind: 'rename' as const, lockKeys: [...source.lockKeys, ...sampleIntent({ path: '/taken' }).lockKeys] };
    assert.equal((await log.begin(rename)).kind, 'locked');
    await fixture.begin(sampleIntent({ path: '/free' }));
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
    const old = await fixture.begin(intent);
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
    const ref = await fixture.begin(sampleIntent({ path: '/adopt' }));
    const results = await Promise.all(Array.from({ length: 20 }, () => log.adopt(ref, instance('pod-2'))));
    assert.equal(results.filter((result) => result !== undefined).length, 1);
  });

  it('gives the same answer when a transition is repeated', async () => {
    const intent = sampleIntent({ path: '/again' });
    const ref = await fixture.begin(intent);
    const plan = samplePlan(intent.id, '/again');
    const [first, twice] = await Promise.all([log.committing(ref, plan), log.committing(ref, plan)]);
    assert.deepEqual(first, twice);
    const event = await log.committed(ref, { etag: '"1"', unconfirmed: true });
    assert.equal(event?.data.unconfirmed, true);
    assert.deepEqual(await log.committed(ref, { etag: '"2"' }), event);
    await log.published([intent.id]);
    assert.deepEqual(await log.committed(ref, { etag: '"2"' }), event);
    assert.equal(await log.abort(ref, 'too late'), false);
    const aborted = await fixture.begin(sampleIntent({ path: '/again' }));
    assert.deepEqual([await log.abort(aborted, 'a'), await log.abort(aborted, 'b')], [true, true]);
    assert.equal(await log.committing(aborted, plan), undefined);
  });

  it('frees the name when an operation is aborted, and not when it is parked', async () => {
    const intent = sampleIntent({ path: '/freed' });
    const ref = await fixture.begin(intent);
    assert.equal(await log.park(ref), true);
    const refused = await log.begin(sampleIntent({ path: '/freed' }));
    assert.equal(refused.kind === 'locked' && refused.holder?.owner, null);
    assert.equal((await log.findByLock(lockKeyOf(intent.storage, intent.blobName)))?.id, intent.id);
    assert.equal(await log.abort(ref, 'r'.repeat(5_000)), true);
    assert.equal(await log.findByLock(lockKeyOf(intent.storage, intent.blobName)), undefined);
    await fixture.begin(sampleIntent({ path: '/freed' }));
  });

  it('does not fold names that differ in case, accents or trailing spaces', async () => {
    for (const path of ['/Name', '/name', '/näme', '/name ']) await fixture.begin(sampleIntent({ path }));
  });

  it('keeps a block list of 50,000 blocks, compactly', async () => {
    const intent = sampleIntent({ path: '/huge' });
    const ref = await fixture.begin(intent);
    const blocks = Array.from({ length: 50_000 }, (_, index) => ({
      id: `${intent.id}0001${(index * 4_194_304).toString(16).padStart(12, '0')}00400000`,
      sizeBytes: 4_194_304,
    }));
    const plan = { ...samplePlan(intent.id, '/huge'), blocks };
    assert.ok(await log.committing(ref, plan));
    assert.deepEqual((await log.find(intent.id))?.plan, plan);
    const { rows } = await sql<{ bytes: number }>`SELECT LENGTH(plan) AS bytes FROM operations WHERE id = ${Buffer.from(intent.id, 'hex')}`.execute(
      fixture.database.queries,
    );
    assert.ok(Number(rows[0]?.bytes) < 1 << 20, `${rows[0]?.bytes} bytes`);
  });

  it('finds the operations that somebody has to finish before those that only wait', async () => {
    const endpointId = fixture.newEndpointId();
    const parked = await fixture.begin(sampleIntent({ path: '/o/parked', endpointId }));
    await log.park(parked);
    const dead = sampleIntent({ path: '/o/dead', endpointId, owner: 'pod-dead', planned: true });
    await fixture.begin(dead);
    await fixture.begin(sampleIntent({ path: '/o/alive', endpointId, owner: 'pod-alive' }));
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

  it('forgets finished operations in bounded batches, and nothing else', async () => {
    await Promise.all(Array.from({ length: 30 }, async (_, index) => log.published([await fixture.commit(1, `/prune/${index}`)])));
    const unfinished = await fixture.begin(sampleIntent({ path: '/prune/unfinished' }));
    assert.equal(await log.prune(3_600_000, 10), 0);
    assert.equal(await log.prune(0, 10), 10);
    while ((await log.prune(0, 1_000)) > 0);
    const left = await fixture.database.queries.selectFrom('operations').select('state').distinct().execute();
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

  it('lets 50 callers share transactions: a fraction of the statements and of the time that each would need', async (context) => {
    /** Operations from `begin` to `published`; what each took of the database's statements, and of the time. */
    const measure = async (callers: number, count: number) => {
      let next = 0;
      const caller = async () => {
        while (next < count) {
          const intent = sampleIntent({ path: `/t/${callers}/${next++}` });
          const ref = await fixture.begin(intent);
          assert.ok(await log.committing(ref, samplePlan(intent.id, '/t')));
          assert.ok(await log.committed(ref, { etag: '"1"' }));
          await log.published([intent.id]);
        }
      };
      const [statements, startedAt] = [await statementsSoFar(), performance.now()];
      await Promise.all(Array.from({ length: callers }, caller));
      const elapsedMs = performance.now() - startedAt;
      return { statements: ((await statementsSoFar()) - statements) / count, ms: elapsedMs / count };
    };
    await measure(1, 50);
    const alone = await measure(1, 300);
    const together = await measure(50, 3_000);
    context.diagnostic(JSON.stringify({ alone, together, perSecond: Math.round(1_000 / together.ms) }));
    assert.ok(together.statements < alone.statements / 5, `${together.statements} of ${alone.statements} statements`);
    assert.ok(together.ms < alone.ms / 2, `${together.ms} of ${alone.ms} ms`);
  });
});

async function statementsSoFar(): Promise<number> {
  const { rows } = await sql<{ Value: string }>`SHOW GLOBAL STATUS LIKE 'Questions'`.execute(fixture.database.queries);
  return Number(rows[0]?.Value);
}
