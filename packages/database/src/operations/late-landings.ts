import { lockKeyOf, type OperationId, toOperationId } from '@skiff/model/upload-state';
import { sql, type Transaction } from 'kysely';
import type { Database } from '../connect.ts';
import type { OperationRow, ReviveResult } from '../operation-log.ts';
import type { Tables } from '../tables.ts';
import { readHolders, takeLocks } from './begin.ts';
import { idBytes, sortedIds } from './operation-row.ts';
import { readRows } from './recovery-queries.ts';
import { drawSequences, lockRows } from './transition.ts';

/** 5 s after the abort, then twice as long each time up to five minutes: 18 looks reach beyond one hour. */
const FIRST_LOOK_SECONDS = 5;
const LONGEST_PAUSE_SECONDS = 300;
const MAX_LOOKS = 18;

const NOW = sql<Date>`UTC_TIMESTAMP(3)`;

/** Has these aborted operations looked for again. */
export async function insertLooks(trx: Transaction<Tables>, ids: readonly OperationId[]): Promise<void> {
  if (ids.length === 0) return;
  const select = sql`SELECT id, endpoint_id, UTC_TIMESTAMP(3) + INTERVAL ${sql.lit(FIRST_LOOK_SECONDS)} SECOND FROM operations WHERE id IN (${sql.join(sortedIds(ids))})`;
  await sql`INSERT INTO operation_looks (operation_id, endpoint_id, look_at) ${select} ON DUPLICATE KEY UPDATE look_at = VALUES(look_at), looks = 0`.execute(
    trx,
  );
}

export async function findLooks(database: Database, endpointId: number, limit: number): Promise<readonly OperationRow[]> {
  const due = await database.repeatable((queries) =>
    queries
      .selectFrom('operation_looks')
      .select('operation_id')
      .where('endpoint_id', '=', endpointId)
      .where('look_at', '<=', NOW)
      .orderBy('look_at')
      .limit(limit)
      .execute(),
  );
  const rows = await readRows(
    database,
    due.map((row) => row.operation_id),
  );
  const present = new Set(rows.map((row) => row.id));
  const pruned = due.map((row) => row.operation_id).filter((id) => !present.has(toOperationId(id)));
  if (pruned.length > 0) await database.repeatable((queries) => queries.deleteFrom('operation_looks').where('operation_id', 'in', pruned).execute());
  return rows;
}

/** Puts the next look off; ends them after the last. */
export async function looked(database: Database, id: OperationId): Promise<void> {
  await database.transaction(
    async (trx) => {
      const pause = sql`LEAST(${sql.lit(LONGEST_PAUSE_SECONDS)}, ${sql.lit(FIRST_LOOK_SECONDS)} * POW(2, looks + 1))`;
      await trx
        .updateTable('operation_looks')
        .set({ look_at: sql<Date>`UTC_TIMESTAMP(3) + INTERVAL ${pause} SECOND`, looks: sql<number>`looks + 1` })
        .where('operation_id', '=', idBytes(id))
        // Several pods look; one of them counts.
        .where('look_at', '<=', NOW)
        .execute();
      await trx.deleteFrom('operation_looks').where('operation_id', '=', idBytes(id)).where('looks', '>=', MAX_LOOKS).execute();
    },
    { idempotent: true },
  );
}

export interface Revival {
  readonly row: OperationRow;
  readonly owner: string;
  readonly token: Buffer;
}

/** `aborted` → `committing` under its locks, with a fresh sequence. */
export async function revive(database: Database, { row, owner, token }: Revival): Promise<ReviveResult> {
  const names = row.targetBlobName === null ? [row.blobName] : [row.blobName, row.targetBlobName];
  const keys = [...new Set(names.map((name) => lockKeyOf(row.storage, name).toString('hex')))].sort();
  const epoch = row.epoch + 1;
  const revived = await database.transaction(
    async (trx): Promise<ReviveResult | undefined> => {
      const present = (await lockRows(trx, [row.id])).get(row.id);
      if (present?.state === 'committing' && present.epoch === epoch && present.adoption?.equals(token) === true) return { kind: 'revived', epoch };
      if (present?.state !== 'aborted' || present.epoch !== row.epoch) return { kind: 'gone' };
      const winners = await takeLocks(trx, [{ intent: { id: row.id }, keys }]);
      if (winners.length === 0) return undefined;
      const [sequence] = await drawSequences(trx, 1);
      await trx
        .updateTable('operations')
        .set({ state: 'committing', epoch, owner, adoption: token, sequence: String(sequence), reason: null, finished_at: null, updated_at: NOW })
        .where('id', '=', idBytes(row.id))
        .execute();
      await trx.deleteFrom('operation_looks').where('operation_id', '=', idBytes(row.id)).execute();
      return { kind: 'revived', epoch };
    },
    { idempotent: true },
  );
  if (revived !== undefined) return revived;
  const holders = await readHolders(database, keys);
  return { kind: 'locked', holder: [...holders.values()][0] };
}
