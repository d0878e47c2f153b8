import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createInstanceRegistry } from './mysql-instance-registry.ts';
import type { InstanceRegistry } from './operation-log.ts';
import { openTestDatabase, type TestDatabase } from './testing/database-fixture.ts';
import { instance } from './testing/sample-operation.ts';

let test: TestDatabase;
let registry: InstanceRegistry;
before(async () => {
  test = await openTestDatabase();
  registry = createInstanceRegistry(test.database);
});
after(() => test.close());

describe('instance registry', () => {
  it('counts renewals, also across a second registration', async () => {
    const id = instance('pod-1');
    await registry.register(id, 'sftp-server');
    assert.equal(await registry.renew(id), true);
    assert.equal(await registry.renew(id), true);
    await registry.register(id, 'sftp-server');
    assert.deepEqual(await registry.list(), [{ id, renewals: 3n }]);
  });

  it('tells an instance that it was declared dead', async () => {
    const id = instance('pod-2');
    await registry.register(id, 'router');
    await registry.remove(id);
    assert.equal(await registry.renew(id), false);
    assert.ok(!(await registry.list()).some((entry) => entry.id === id));
  });

  it('forgets instances that have been silent for a week', async () => {
    await registry.register(instance('pod-old'), 'router');
    await test.database.queries
      .updateTable('instances')
      .set({ renewed_at: new Date(Date.now() - 8 * 86_400_000) })
      .where('id', '=', 'pod-old')
      .execute();
    await registry.register(instance('pod-new'), 'router');
    const ids = (await registry.list()).map((entry) => entry.id);
    assert.ok(!ids.includes(instance('pod-old')) && ids.includes(instance('pod-new')));
  });
});
