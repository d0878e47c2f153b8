import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { silentLogger } from '@skiff/runtime/logger';
import { sql } from 'kysely';
import { openDatabase } from './connect.ts';
import { migrate, schemaVersion } from './migrate.ts';
import type { Migration } from './migrations/migration.ts';
import { MIGRATIONS } from './migrations/migrations.ts';
import { openTestDatabase, type TestDatabase } from './testing/database-fixture.ts';

let test: TestDatabase;
before(async () => {
  test = await openTestDatabase({ empty: true });
});
after(() => test.close());

const options = { signal: AbortSignal.timeout(60_000), logger: silentLogger };
const NEXT = MIGRATIONS.length + 1;
const additive: Migration = {
  version: NEXT,
  name: 'note',
  compatibleFrom: 1,
  statements: ['ALTER TABLE endpoints ADD COLUMN IF NOT EXISTS note VARCHAR(10) NULL'],
};
const contracting: Migration = { version: NEXT + 1, name: 'drop', compatibleFrom: NEXT + 1, statements: ['ALTER TABLE endpoints DROP COLUMN IF EXISTS note'] };

describe('migrations', () => {
  it('are numbered without gaps and work with themselves', () => {
    MIGRATIONS.forEach((migration, index) => {
      assert.equal(migration.version, index + 1);
      assert.ok(migration.compatibleFrom <= migration.version);
    });
  });

  it('tell a process that does not migrate to wait, on an empty schema', async () => {
    assert.deepEqual(await schemaVersion(test.database), { version: 0, fit: 'tooOld' });
  });

  it('run once when eight processes start at the same time', async () => {
    const processes = Array.from({ length: 8 }, () => openDatabase({ url: test.url, logger: silentLogger, poolSize: 1 }));
    await Promise.all(processes.map((database) => migrate(database, options)));
    await Promise.all(processes.map((database) => database.close()));
    assert.deepEqual(await schemaVersion(test.database), { version: MIGRATIONS.length, fit: 'fits' });
  });

  it('go on where a run was cut off in the middle', async () => {
    await sql`DROP TABLE deliveries`.execute(test.database.queries);
    await sql`DELETE FROM schema_migrations`.execute(test.database.queries);
    await migrate(test.database, options);
    assert.equal((await test.database.queries.selectFrom('deliveries').selectAll().execute()).length, 0);
  });

  it('leave the program before in peace when they only add, and stop it when they take away', async () => {
    await migrate(test.database, { ...options, migrations: [...MIGRATIONS, additive] });
    assert.deepEqual(await schemaVersion(test.database), { version: NEXT, fit: 'fits' });
    await migrate(test.database, options);
    await migrate(test.database, { ...options, migrations: [...MIGRATIONS, additive, contracting] });
    assert.deepEqual(await schemaVersion(test.database), { version: NEXT + 1, fit: 'tooNew' });
    await assert.rejects(migrate(test.database, options), { code: 'unsupported', vendorCode: 'SCHEMA_TOO_NEW' });
  });

  it('wait for the process that migrates, until told to stop', async () => {
    const other = openDatabase({ url: test.url, logger: silentLogger, poolSize: 1 });
    await other.queries.connection().execute(async (connection) => {
      await sql`SELECT GET_LOCK(CONCAT('skiff-migrate/', LEFT(DATABASE(), 40)), 0)`.execute(connection);
      await assert.rejects(migrate(test.database, { ...options, signal: AbortSignal.timeout(200) }), { name: 'TimeoutError' });
    });
    await other.close();
  });
});
