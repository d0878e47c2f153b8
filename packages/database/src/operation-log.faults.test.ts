import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isTransient, StoreError } from '@skiff/model/store-error';
import type { OperationId } from '@skiff/model/upload-state';
import { silentLogger } from '@skiff/runtime/logger';
import { sql } from 'kysely';
import { openDatabase } from './connect.ts';
import { createOperationLog } from './mysql-operation-log.ts';
import type { OperationLog } from './operation-log.ts';
import { startCommitCutter } from './testing/commit-cutter.ts';
import { openTestDatabase, type TestDatabase } from './testing/database-fixture.ts';
import { instance, sampleIntent, samplePlan } from './testing/sample-operation.ts';

let test: TestDatabase;
before(async () => {
  test = await openTestDatabase();
});
after(() => test.close());

/** As the SFTP server does: repeat while the failure may pass. */
async function insist<Value>(call: () => Promise<Value>): Promise<Value> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (!isTransient(error) || attempt > 50) throw error;
      await sleep(5 * Math.random() * attempt);
    }
  }
}

/** Uploads of one name in turn, so that each needs the lock of the one before to be free. Returns the sequences told to the client. */
async function uploadInTurn(log: OperationLog, path: string, count: number, told: Map<OperationId, bigint>): Promise<void> {
  for (let index = 0; index < count; index++) {
    const intent = sampleIntent({ path, endpointId: 7 });
    const begun = await insist(() => log.begin(intent));
    assert.equal(begun.kind, 'begun', 'the name is free: the one before has ended');
    const ref = { id: intent.id, epoch: 1 };
    const committing = await insist(() => log.committing(ref, samplePlan(intent.id, path)));
    assert.ok(committing);
    const event = await insist(() => log.committed(ref, { etag: '"1"' }));
    assert.equal(event?.sequence, committing.sequence.toString().padStart(20, '0'));
    told.set(intent.id, committing.sequence);
    await insist(() => log.published([intent.id]));
  }
}

async function checkRows(told: ReadonlyMap<OperationId, bigint>): Promise<void> {
  const rows = await test.database.queries.selectFrom('operations').select(['id', 'state', 'epoch', 'sequence']).where('endpoint_id', '=', 7).execute();
  assert.equal(rows.length, told.size, 'none lost, none double');
  for (const row of rows) {
    assert.equal(row.state, 'published');
    assert.equal(row.epoch, 1);
    assert.equal(BigInt(row.sequence ?? 0), told.get(row.id.toString('hex') as OperationId));
  }
  assert.equal(new Set(told.values()).size, told.size, 'no sequence was drawn twice');
  assert.equal((await test.database.queries.selectFrom('operation_locks').selectAll().execute()).length, 0);
}

describe('operation log under faults', () => {
  it('loses and doubles nothing when 120 connections are cut at COMMIT, before and after it takes effect', async () => {
    let commits = 0;
    const cutter = await startCommitCutter(test.tcpUrl, () => {
      commits++;
      if (commits % 4 !== 0) return 'pass';
      return commits % 8 === 0 ? 'beforeCommit' : 'afterCommit';
    });
    const database = openDatabase({ url: cutter.url, logger: silentLogger, poolSize: 6 });
    const told = new Map<OperationId, bigint>();
    try {
      const log = createOperationLog(database);
      for (let round = 0; cutter.cuts.beforeCommit < 60 || cutter.cuts.afterCommit < 60; round++) {
        await Promise.all(Array.from({ length: 4 }, (_, index) => uploadInTurn(log, `/cut/${index}`, 10, told)));
        assert.ok(round < 50, 'cuts happen');
      }
      assert.ok(cutter.cuts.beforeCommit >= 60 && cutter.cuts.afterCommit >= 60, JSON.stringify(cutter.cuts));
      await checkRows(told);
    } finally {
      await database.close();
      await cutter.close();
    }
  });

  it('loses and doubles nothing when connections are killed 50 times at any moment', async () => {
    const told = new Map<OperationId, bigint>();
    await test.database.queries.deleteFrom('operations').where('endpoint_id', '=', 7).execute();
    const database = openDatabase({ url: test.url, logger: silentLogger, poolSize: 6 });
    try {
      const log = createOperationLog(database);
      const stop = new AbortController();
      const killing = kill50(stop.signal);
      const uploading = (async () => {
        do await Promise.all(Array.from({ length: 10 }, (_, index) => uploadInTurn(log, `/kill/${index}`, 5, told)));
        while (!stop.signal.aborted);
      })();
      const killed = await killing.finally(() => stop.abort());
      await uploading;
      assert.equal(killed, 50);
      await checkRows(told);
    } finally {
      await database.close();
    }
  });

  it('parks what it may have begun without knowing, once nobody asks for it any more', async () => {
    let now = 0;
    let cut = false;
    const cutter = await startCommitCutter(test.tcpUrl, () => (cut ? 'afterCommit' : 'pass'));
    const database = openDatabase({ url: cutter.url, logger: silentLogger, poolSize: 2 });
    try {
      const log = createOperationLog(database, { clock: { now: () => new Date(), monotonicMs: () => now } });
      const adopted = sampleIntent({ path: '/uncertain/adopted', endpointId: 8 });
      await log.begin(adopted);
      cut = true;
      // Each attempt sees the row of the one before and commits nothing new, but its COMMIT is cut as well.
      await assert.rejects(log.adopt({ id: adopted.id, epoch: 1 }, instance('pod-1')), { code: 'unavailable' });
      cut = false;
      assert.deepEqual(await owners(log), ['pod-1']);
      now = 61_000;
      await log.findOrphans(8, [instance('pod-1')], 10);
      assert.deepEqual(await owners(log), [null]);
    } finally {
      await database.close();
      await cutter.close();
    }

    async function owners(log: OperationLog): Promise<readonly (string | null)[]> {
      return (await log.findOrphans(8, [], 10)).map((row) => row.owner);
    }
  });

  it('runs a transaction again that lost a deadlock', async () => {
    const { database } = test;
    await sql`CREATE TABLE pair (id INT PRIMARY KEY, value INT NOT NULL) ENGINE=InnoDB`.execute(database.queries);
    await sql`INSERT INTO pair VALUES (1, 0), (2, 0)`.execute(database.queries);
    let runs = 0;
    // Each holds its first row until the other holds its own: then one of them must lose.
    const bothHoldOne = Promise.withResolvers<void>();
    const bump = (first: number, second: number) =>
      database.transaction(async (trx) => {
        await sql`UPDATE pair SET value = value + 1 WHERE id = ${first}`.execute(trx);
        if (++runs === 2) bothHoldOne.resolve();
        await bothHoldOne.promise;
        await sql`UPDATE pair SET value = value + 1 WHERE id = ${second}`.execute(trx);
      });
    await Promise.all([bump(1, 2), bump(2, 1)]);
    assert.ok(runs > 2, 'there was a deadlock');
    const { rows } = await sql<{ value: number }>`SELECT value FROM pair`.execute(database.queries);
    assert.deepEqual(
      rows.map((row) => row.value),
      [2, 2],
    );
  });

  it('fails with unavailable, not with a guess, when the database is away', async () => {
    const cutter = await startCommitCutter(test.tcpUrl, () => 'pass');
    const database = openDatabase({ url: cutter.url, logger: silentLogger, poolSize: 2 });
    const log = createOperationLog(database);
    await log.begin(sampleIntent({ path: '/away/1' }));
    await cutter.close();
    await assert.rejects(log.begin(sampleIntent({ path: '/away/2' })), (error) => error instanceof StoreError && error.code === 'unavailable');
    await database.close();
  });
});

async function kill50(signal: AbortSignal): Promise<number> {
  const schema = new URL(test.url.reveal()).pathname.slice(1);
  const own = await sql<{ id: string }>`SELECT CONNECTION_ID() AS id`.execute(test.database.queries);
  let killed = 0;
  while (killed < 50 && !signal.aborted) {
    const { rows } = await sql<{ id: string }>`SELECT id FROM information_schema.processlist WHERE db = ${schema} AND id <> CONNECTION_ID()`.execute(
      test.database.queries,
    );
    const victims = rows.filter((row) => row.id !== own.rows[0]?.id);
    const victim = victims[Math.floor(Math.random() * victims.length)];
    if (victim !== undefined) {
      try {
        await sql`KILL CONNECTION ${sql.lit(Number(victim.id))}`.execute(test.database.queries);
        killed++;
      } catch (error) {
        // It has ended by itself meanwhile.
        if (!(error instanceof StoreError)) throw error;
      }
    }
    await sleep(8);
  }
  return killed;
}
