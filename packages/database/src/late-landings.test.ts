import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { sql } from 'kysely';
import { createOperationLog } from './mysql-operation-log.ts';
import type { OperationLog, OperationRef } from './operation-log.ts';
import { openTestDatabase, type TestDatabase } from './testing/database-fixture.ts';
import { instance, sampleIntent } from './testing/sample-operation.ts';

let test: TestDatabase;
let log: OperationLog;
let endpoints = 700;
before(async () => {
  test = await openTestDatabase();
  log = createOperationLog(test.database);
});
after(() => test.close());

async function aborted(endpointId: number, path: string, lookAgain: boolean): Promise<OperationRef> {
  const intent = sampleIntent({ path, endpointId, planned: true });
  const begun = await log.begin(intent);
  assert.equal(begun.kind, 'begun');
  const ref = { id: intent.id, epoch: 1 };
  assert.equal(await log.abort(ref, 'gone', { lookAgain }), true);
  return ref;
}

const makeDue = () => test.database.queries.updateTable('operation_looks').set({ look_at: sql<Date>`UTC_TIMESTAMP(3) - INTERVAL 1 SECOND` }).execute();

describe('late landings', () => {
  it('come up only for operations that were given up with a request under way, and not at once', async () => {
    const endpointId = endpoints++;
    await aborted(endpointId, '/late/no', false);
    const ref = await aborted(endpointId, '/late/yes', true);
    assert.deepEqual(await log.findLooks(endpointId, 10), []);
    await makeDue();
    assert.deepEqual(
      (await log.findLooks(endpointId, 10)).map((row) => row.id),
      [ref.id],
    );
  });

  it('are looked for 18 times, over more than an hour', async () => {
    const endpointId = endpoints++;
    const { id } = await aborted(endpointId, '/late/looks', true);
    let seconds = 0;
    for (let look = 0; look < 18; look++) {
      await makeDue();
      assert.equal((await log.findLooks(endpointId, 10)).length, 1, `look ${look}`);
      await log.looked(id);
      const [row] = await test.database.queries
        .selectFrom('operation_looks')
        .select(sql<number>`TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(3), look_at)`.as('pause'))
        .where('operation_id', '=', Buffer.from(id, 'hex'))
        .execute();
      seconds += Number(row?.pause ?? 0);
    }
    await makeDue();
    assert.deepEqual(await log.findLooks(endpointId, 10), []);
    assert.ok(seconds > 3_600, `${seconds} s`);
  });

  it('get their event with a fresh sequence, under their lock, once', async () => {
    const endpointId = endpoints++;
    const ref = await aborted(endpointId, '/late/revived', true);
    const before = await log.find(ref.id);
    assert.ok(before !== undefined);
    const [one, two] = await Promise.all([log.revive(before, instance('pod-2')), log.revive(before, instance('pod-3'))]);
    assert.deepEqual([one.kind, two.kind].toSorted(), ['gone', 'revived']);
    const after = await log.find(ref.id);
    assert.ok(after?.state === 'committing' && after.sequence !== null && before.sequence !== null);
    assert.ok(after.sequence > before.sequence);
    const second = sampleIntent({ path: '/late/revived', endpointId, planned: true });
    assert.equal((await log.begin(second)).kind, 'locked');
    assert.equal(await log.committed(ref, { etag: '"1"' }), undefined, 'the epoch of before counts no more');
    assert.notEqual(await log.committed({ id: ref.id, epoch: 2 }, { etag: '"1"' }), undefined);
  });

  it('wait while another operation holds the name', async () => {
    const endpointId = endpoints++;
    const ref = await aborted(endpointId, '/late/held', true);
    const second = sampleIntent({ path: '/late/held', endpointId });
    assert.equal((await log.begin(second)).kind, 'begun');
    const row = await log.find(ref.id);
    assert.ok(row !== undefined);
    const answer = await log.revive(row, instance('pod-2'));
    assert.ok(answer.kind === 'locked' && answer.holder?.id === second.id);
    assert.equal((await log.find(ref.id))?.state, 'aborted');
  });
});

describe('unfinished operations', () => {
  it('are found below a directory, not beside it', async () => {
    const endpointId = endpoints++;
    const inside = sampleIntent({ path: '/below/dïr/file', endpointId });
    const beside = sampleIntent({ path: '/below/dïrx', endpointId });
    for (const intent of [inside, beside]) assert.equal((await log.begin(intent)).kind, 'begun');
    const directory = sampleIntent({ path: '/below/dïr' });
    assert.deepEqual(
      (await log.findBelow(directory.storage, directory.blobName, 10)).map((row) => row.id),
      [inside.id],
    );
    assert.deepEqual(
      (await log.findByLocks([...inside.lockKeys, ...directory.lockKeys])).map((row) => row.id),
      [inside.id],
    );
    assert.deepEqual(
      (await log.findOpenUploads(endpointId, 'anna', 10)).map((row) => row.id),
      [inside.id, beside.id],
    );
    assert.deepEqual(await log.findOpenUploads(endpointId, 'ann', 10), []);
  });

  it('expire sooner when they were to replace a file', async () => {
    const endpointId = endpoints++;
    const fresh = sampleIntent({ path: '/expire/new', endpointId });
    const overwrite = { ...sampleIntent({ path: '/expire/old', endpointId }), priorEtag: '"1"' };
    for (const intent of [fresh, overwrite]) {
      await log.begin(intent);
      await log.park({ id: intent.id, epoch: 1 });
    }
    const expired = await log.findExpiredOpen(endpointId, { newFileMs: 60_000, overwriteMs: 0 }, 10);
    assert.deepEqual(
      expired.map((row) => row.id),
      [overwrite.id],
    );
  });
});
