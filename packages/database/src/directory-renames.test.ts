import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { lockKeyOf, type OperationId } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { sql } from 'kysely';
import { createOperationLog } from './mysql-operation-log.ts';
import type { OperationIntent, OperationLog } from './operation-log.ts';
import { openTestDatabase, type TestDatabase } from './testing/database-fixture.ts';
import { instance, sampleIntent, samplePlan } from './testing/sample-operation.ts';

let test: TestDatabase;
let log: OperationLog;
before(async () => {
  test = await openTestDatabase();
  log = createOperationLog(test.database);
});
after(() => test.close());

function renameIntent(from: string, to: string): OperationIntent {
  const intent = sampleIntent({ path: from });
  const targetBlobName = `anna${to}` as BlobName;
  const lockKeys = [...intent.lockKeys, lockKeyOf(intent.storage, targetBlobName)];
  return { ...intent, kind: 'renamedir', targetBlobName, lockKeys, plan: { ...samplePlan(intent.id, to), blocks: [] } };
}

async function stored(id: OperationId) {
  return await test.database.queries
    .selectFrom('operations')
    .select(['kind', 'state', 'plan', 'event'])
    .where('id', '=', Buffer.from(id, 'hex'))
    .executeTakeFirstOrThrow();
}
const journals = () => test.database.queries.selectFrom('directory_renames').selectAll().execute();

describe('directory renames in the operation log', () => {
  it('look to the version before like a removal of a directory that has no plan: it refuses writes below and never finishes it', async () => {
    const intent = renameIntent('/old', '/new');
    assert.equal((await log.begin(intent)).kind, 'begun');
    const row = await stored(intent.id);
    assert.deepEqual([row.kind, row.state, row.plan], ['rmdir', 'committing', null]);
    assert.notEqual(row.event, null);
    assert.equal((await log.find(intent.id))?.kind, 'renamedir');
    assert.equal((await log.findByLocks(intent.lockKeys))[0]?.kind, 'renamedir');
    const removal = { ...sampleIntent({ path: '/removed', planned: true }), kind: 'rmdir' as const };
    await log.begin(removal);
    assert.equal((await log.find(removal.id))?.kind, 'rmdir');
  });

  it('are journalled by their owner alone, and end with their event and without a journal once they are pruned', async () => {
    const intent = renameIntent('/a', '/b');
    await log.begin(intent);
    const ref = { id: intent.id, epoch: 1 };
    assert.equal(await log.movedFiles(intent.id), undefined);
    assert.equal(await log.advanceRename(ref, 0), true);
    assert.equal(await log.movedFiles(intent.id), 0);
    const adopted = await log.adopt(ref, instance('pod-2'));
    assert.ok(adopted !== undefined);
    assert.equal(await log.advanceRename(ref, 7), false, 'displaced');
    assert.equal(await log.advanceRename(adopted, 5), true);
    assert.equal(await log.advanceRename(adopted, 5), true);
    assert.equal(await log.movedFiles(intent.id), 5);
    const event = await log.committed(adopted, { etag: undefined });
    assert.equal(event?.id, intent.plan?.event.id);
    assert.equal(await log.advanceRename(adopted, 6), false, 'finished');
    await log.published([intent.id]);
    assert.equal((await journals()).length, 1);
    await sql`UPDATE operations SET finished_at = finished_at - INTERVAL 1 DAY WHERE id = ${Buffer.from(intent.id, 'hex')}`.execute(test.database.queries);
    await log.prune(3_600_000, 10);
    assert.equal((await journals()).length, 0);
  });
});
