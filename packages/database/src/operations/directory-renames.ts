import type { OperationId } from '@skiff/model/upload-state';
import { sql } from 'kysely';
import type { Database } from '../connect.ts';
import type { OperationRef } from '../operation-log.ts';
import { idBytes } from './operation-row.ts';
import { lockRows } from './transition.ts';

const NOW = sql<Date>`UTC_TIMESTAMP(3)`;

/** Writes the journal, or moves it on, if the row is still the caller's. Repeatable. */
export function advanceRename(database: Database, ref: OperationRef, movedFiles: number): Promise<boolean> {
  return database.transaction(
    async (trx) => {
      const row = (await lockRows(trx, [ref.id])).get(ref.id);
      if (row?.epoch !== ref.epoch || row.state !== 'committing') return false;
      await trx
        .insertInto('directory_renames')
        .values({ operation_id: idBytes(ref.id), moved: movedFiles, started_at: NOW, updated_at: NOW })
        .onDuplicateKeyUpdate({ moved: movedFiles, updated_at: NOW })
        .execute();
      return true;
    },
    { idempotent: true },
  );
}

export async function movedFiles(database: Database, id: OperationId): Promise<number | undefined> {
  const row = await database.repeatable((queries) =>
    queries.selectFrom('directory_renames').select('moved').where('operation_id', '=', idBytes(id)).executeTakeFirst(),
  );
  return row?.moved;
}

/** Those whose operation's row has gone, whichever version of the program has taken it away. */
export async function pruneJournals(database: Database, limit: number): Promise<void> {
  const gone = sql`NOT EXISTS (SELECT 1 FROM operations WHERE operations.id = directory_renames.operation_id)`;
  await database.repeatable((queries) => sql`DELETE FROM directory_renames WHERE ${gone} LIMIT ${sql.lit(limit)}`.execute(queries));
}
