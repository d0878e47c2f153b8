import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { KubeError } from '@skiff/kube/kube-error';
import { fencedDatabase } from './fenced-repository.ts';

describe('transactions of the leader', () => {
  let test: TestDatabase;
  let held = true;
  const fence = {
    assertHeld() {
      if (!held) throw new KubeError({ code: 'aborted', httpStatus: 0, message: 'not the leader' });
    },
  };
  const isLost = (error: unknown) => error instanceof KubeError && error.code === 'aborted';

  before(async () => {
    test = await openTestDatabase();
  });
  after(() => test.close());

  it('are not committed when the lease was lost since they began', async () => {
    const database = fencedDatabase(test.database, fence);
    const rows = createResourceRepository(test.database);
    const id = await rows.endpointId('default', 'main');
    const revision = await rows.revision(id);
    held = true;
    const work = database.transaction(async (trx) => {
      await trx.updateTable('endpoints').set({ revision: '77' }).where('id', '=', id).execute();
      held = false;
    });
    await assert.rejects(work, isLost);
    assert.equal(await rows.revision(id), revision);
  });

  it('do not begin without the lease', async () => {
    held = false;
    let began = false;
    const work = fencedDatabase(test.database, fence).transaction(async () => {
      began = true;
    });
    await assert.rejects(work, isLost);
    assert.equal(began, false);
  });
});
