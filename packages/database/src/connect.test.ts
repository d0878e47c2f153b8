import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { StoreError } from '@skiff/model/store-error';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { sql } from 'kysely';
import { type Database, openDatabase } from './connect.ts';
import { openTestDatabase, type TestDatabase } from './testing/database-fixture.ts';

let test: TestDatabase;
before(async () => {
  test = await openTestDatabase({ poolSize: 3 });
});
after(() => test.close());

function edited(url: Secret<string>, edit: (url: URL) => void): Secret<string> {
  const copy = new URL(url.reveal());
  edit(copy);
  return new Secret(copy.href);
}

async function failureOf(url: Secret<string>): Promise<StoreError> {
  const database = openDatabase({ url, logger: silentLogger, poolSize: 1 });
  try {
    await database.ping(AbortSignal.timeout(8_000));
  } catch (error) {
    assert.ok(error instanceof StoreError);
    assert.ok(!inspect(error, { depth: 9 }).includes('hunter2'), 'no password in the error');
    return error;
  } finally {
    await database.close();
  }
  return assert.fail('connected');
}

const sleepQuery = (database: Database, seconds: number) => sql`SELECT SLEEP(${sql.lit(seconds)})`.execute(database.queries);

describe('database connection', () => {
  it('says what is wrong with a URL without repeating it', () => {
    for (const text of [
      'nonsense hunter2',
      'http://u:hunter2@h/s',
      'mysql://u:hunter2@h',
      'mysql://u:hunter2@h/a/b',
      'mysql://:hunter2@h/s',
      'mysql://u:hunter2%@h/s',
      'mysql://u:hunter2@h/s?ssl=no',
      'mysql://u:hunter2@h/s?ssl-mode=PREFERRED',
    ]) {
      assert.throws(
        () => openDatabase({ url: new Secret(text), logger: silentLogger, poolSize: 1 }),
        (error) => error instanceof StoreError && error.code === 'invalid' && !error.message.includes('hunter2'),
        text,
      );
    }
  });

  it('refuses to send a token without TLS', () => {
    const url = new Secret('mysql://u@h/s');
    assert.throws(() => openDatabase({ url, logger: silentLogger, poolSize: 1, passwordProvider: async () => 't' }), {
      code: 'invalid',
      vendorCode: 'TLS_REQUIRED',
    });
  });

  it('tells a wrong password, a missing schema, a closed port and an unknown host apart', async () => {
    const denied = await failureOf(edited(test.tcpUrl, (url) => (url.password = 'hunter2')));
    assert.deepEqual([denied.code, denied.vendorCode], ['denied', 'ER_ACCESS_DENIED_ERROR']);
    const missing = await failureOf(edited(test.tcpUrl, (url) => (url.pathname = '/missing')));
    assert.deepEqual([missing.code, missing.vendorCode], ['notFound', 'ER_BAD_DB_ERROR']);
    const refused = await failureOf(edited(test.tcpUrl, (url) => (url.port = '1')));
    assert.deepEqual([refused.code, refused.vendorCode], ['unavailable', 'ECONNREFUSED']);
    const unknown = await failureOf(edited(test.tcpUrl, (url) => (url.hostname = 'no-such-host.invalid')));
    assert.equal(unknown.code, 'unavailable');
  });

  it('gives up on a server that accepts and says nothing', async () => {
    const silent = createServer((socket) => {
      socket.on('error', () => {
        // Cut by the client.
      });
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const error = await failureOf(edited(test.tcpUrl, (url) => (url.port = String(port))));
    assert.equal(error.code, 'unavailable');
    silent.close();
  });

  it('asks for the password for each new connection', async () => {
    const password = decodeURIComponent(new URL(test.url.reveal()).password);
    let asked = 0;
    const passwordProvider = async () => {
      asked++;
      return password;
    };
    const database = openDatabase({ url: edited(test.url, (url) => (url.password = '')), logger: silentLogger, poolSize: 2, passwordProvider });
    await Promise.all([sleepQuery(database, 0.05), sleepQuery(database, 0.05)]);
    await database.ping(AbortSignal.timeout(5_000));
    assert.equal(asked, 2);
    await database.close();
    const failing = openDatabase({ url: test.url, logger: silentLogger, poolSize: 1, passwordProvider: () => Promise.reject(new Error('no token')) });
    await assert.rejects(failing.ping(AbortSignal.timeout(5_000)), { code: 'unavailable', vendorCode: 'TOKEN' });
    await failing.close();
  });

  it('never has more connections than its pool size', async () => {
    const database = openDatabase({ url: test.url, logger: silentLogger, poolSize: 3 });
    const ids = await Promise.all(
      Array.from({ length: 60 }, async () => (await sql<{ id: string }>`SELECT CONNECTION_ID() AS id, SLEEP(0.002)`.execute(database.queries)).rows[0]?.id),
    );
    assert.equal(new Set(ids).size, 3);
    await database.close();
    await assert.rejects(database.ping(AbortSignal.timeout(1_000)), { code: 'unavailable', vendorCode: 'POOL_CLOSED' });
  });

  it('finishes what is under way when it closes', async () => {
    const database = openDatabase({ url: test.url, logger: silentLogger, poolSize: 1 });
    await database.ping(AbortSignal.timeout(5_000));
    const query = sleepQuery(database, 0.2);
    await Promise.all([query, database.close()]);
  });

  it('does not wait longer for an answer to ping than asked', async () => {
    const database = openDatabase({ url: test.url, logger: silentLogger, poolSize: 1 });
    const busy = sleepQuery(database, 0.5);
    await assert.rejects(database.ping(AbortSignal.timeout(50)), { code: 'unavailable' });
    await busy;
    await database.close();
  });

  it('lets no call hang that is still under way when closing has waited long enough', async () => {
    const database = openDatabase({ url: test.url, logger: silentLogger, poolSize: 1 });
    await database.ping(AbortSignal.timeout(5_000));
    const startedAt = performance.now();
    const hanging = assert.rejects(sleepQuery(database, 9), { code: 'unavailable', vendorCode: 'PROTOCOL_CONNECTION_LOST' });
    await database.close();
    await hanging;
    assert.ok(performance.now() - startedAt < 8_000);
  });

  it('uses a new connection after its own was killed', async () => {
    const database = openDatabase({ url: test.url, logger: silentLogger, poolSize: 1 });
    const { rows } = await sql<{ id: string }>`SELECT CONNECTION_ID() AS id`.execute(database.queries);
    await sql`KILL CONNECTION ${sql.lit(Number(rows[0]?.id))}`.execute(test.database.queries);
    await database.repeatable((queries) => sql`SELECT 1`.execute(queries));
    await database.close();
  });

  it('works in UTC, at READ COMMITTED, strictly, and keeps every digit', async () => {
    const { rows } = await sql<{ zone: string; isolation: string; mode: string; collation: string; big: string; at: Date }>`
      SELECT @@time_zone AS zone, @@tx_isolation AS isolation, @@sql_mode AS mode, @@collation_connection AS collation,
        CAST(18446744073709551615 AS UNSIGNED) AS big, CAST('2026-03-29 02:30:00.123' AS DATETIME(3)) AS at`.execute(test.database.queries);
    const [row] = rows;
    assert.deepEqual([row?.zone, row?.isolation, row?.collation, row?.big], ['+00:00', 'READ-COMMITTED', 'utf8mb4_bin', '18446744073709551615']);
    assert.ok(row?.mode.includes('STRICT_ALL_TABLES'));
    assert.equal(row?.at.toISOString(), '2026-03-29T02:30:00.123Z');
    const text = '€ 😀 naïve';
    const echoed = await sql<{ text: string }>`SELECT ${text} AS text`.execute(test.database.queries);
    assert.equal(echoed.rows[0]?.text, text);
  });
});

describe('a database for a process that may be suspended', () => {
  const abandonedAfterMs = 1_000;
  const countOf = async (name: string) =>
    Number(
      (
        await test.database.queries
          .selectFrom('endpoints')
          .select((of) => of.fn.countAll().as('n'))
          .where('name', '=', name)
          .executeTakeFirstOrThrow()
      ).n,
    );

  it('rolls back a transaction that says nothing for too long, before it goes on', async () => {
    const database = openDatabase({ url: test.url, logger: silentLogger, poolSize: 1, abandonedAfterMs });
    try {
      const work = database.transaction(async (trx) => {
        await trx.insertInto('endpoints').values({ namespace: 'suspended', name: 'half-done' }).execute();
        await new Promise((resolve) => setTimeout(resolve, 3 * abandonedAfterMs));
        await trx.insertInto('endpoints').values({ namespace: 'suspended', name: 'after-waking' }).execute();
      });
      await assert.rejects(work, (error) => error instanceof StoreError && error.code === 'unavailable');
      assert.deepEqual([await countOf('half-done'), await countOf('after-waking')], [0, 0]);
    } finally {
      await database.close();
    }
  });

  it('goes on with fresh connections after a rest', async () => {
    const database = openDatabase({ url: test.url, logger: silentLogger, poolSize: 2, abandonedAfterMs });
    try {
      for (let rest = 0; rest < 2; rest++) {
        await database.transaction(async (trx) => {
          await sql`SELECT 1`.execute(trx);
        });
        await new Promise((resolve) => setTimeout(resolve, 2 * abandonedAfterMs));
      }
      await database.ping(AbortSignal.timeout(5_000));
    } finally {
      await database.close();
    }
  });
});
