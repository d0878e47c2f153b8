import type { InstanceId, OperationId } from '@skiff/model/upload-state';
import { sql } from 'kysely';
import type { Database } from '../connect.ts';
import type { OperationRow } from '../operation-log.ts';
import { pruneJournals } from './directory-renames.ts';
import { idBytes, ROW_COLUMNS, toOperationRow } from './operation-row.ts';

/** Numbers of the sequence that stay, so that a restored dump goes on above them. */
const KEPT_SEQUENCES = 1_000;

export async function findOperation(database: Database, id: OperationId): Promise<OperationRow | undefined> {
  return (await readRows(database, [idBytes(id)]))[0];
}

/** Parked `open` rows, which only wait, come last: they may be many and must not hide the ones that somebody has to finish. */
export async function findOrphans(database: Database, endpointId: number, live: readonly InstanceId[], limit: number): Promise<readonly OperationRow[]> {
  const ids = await database.repeatable((queries) =>
    queries
      .selectFrom('operations')
      .select('id')
      .where('endpoint_id', '=', endpointId)
      .where('state', 'in', ['open', 'committing'])
      .where((where) => where.or([where('owner', 'is', null), ...(live.length === 0 ? [where('owner', 'is not', null)] : [where('owner', 'not in', live)])]))
      .orderBy(sql`state = 'open' AND owner IS NULL`)
      .orderBy('created_at')
      .limit(limit)
      .execute(),
  );
  return readRows(
    database,
    ids.map((row) => row.id),
  );
}

/** Unfinished uploads of one user, oldest first: few, and without block lists. */
export async function findOpenUploads(database: Database, endpointId: number, username: string, limit: number): Promise<readonly OperationRow[]> {
  const rows = await database.repeatable((queries) =>
    queries
      .selectFrom('operations')
      .select(ROW_COLUMNS)
      .where('endpoint_id', '=', endpointId)
      .where('state', '=', 'open')
      .where('username', '=', username)
      .where('kind', '=', 'upload')
      .orderBy('created_at')
      .limit(limit)
      .execute(),
  );
  return Promise.all(rows.map(toOperationRow));
}

/** Unfinished operations that hold a name below a directory. Locks exist only while an operation is unfinished: there are few. */
export async function findBelow(database: Database, storage: string, directory: string, limit: number): Promise<readonly OperationRow[]> {
  const prefix = `${directory}/`;
  // MySQL counts characters, not UTF-16 units.
  const below = (column: 'blob_name' | 'target_blob_name') => sql<boolean>`LEFT(${sql.ref(`operations.${column}`)}, ${[...prefix].length}) = ${prefix}`;
  const rows = await database.repeatable((queries) =>
    queries
      .selectFrom('operation_locks')
      .innerJoin('operations', 'operations.id', 'operation_locks.operation_id')
      .select(ROW_COLUMNS.map((column) => `operations.${column}` as const))
      .where('operations.storage', '=', storage)
      .where((where) => where.or([below('blob_name'), below('target_blob_name')]))
      .limit(limit)
      .execute(),
  );
  // A rename holds two locks.
  const distinct = new Map(rows.map((row) => [row.id.toString('hex'), row]));
  return Promise.all([...distinct.values()].map(toOperationRow));
}

export interface ExpiryAge {
  readonly newFileMs: number;
  readonly overwriteMs: number;
}

export async function findExpiredOpen(database: Database, endpointId: number, age: ExpiryAge, limit: number): Promise<readonly OperationRow[]> {
  const ids = await database.repeatable((queries) =>
    queries
      .selectFrom('operations')
      .select('id')
      .where('endpoint_id', '=', endpointId)
      .where('state', '=', 'open')
      .where('owner', 'is', null)
      .where((where) =>
        where.or([
          where('updated_at', '<=', agoMs(age.newFileMs)),
          where.and([where('updated_at', '<=', agoMs(age.overwriteMs)), where('prior_etag', 'is not', null)]),
        ]),
      )
      .orderBy('updated_at')
      .limit(limit)
      .execute(),
  );
  return readRows(
    database,
    ids.map((row) => row.id),
  );
}

/** Rows in the order of `ids`. Block lists are read only here, not while searching and sorting. */
export async function readRows(database: Database, ids: readonly Buffer[]): Promise<readonly OperationRow[]> {
  if (ids.length === 0) return [];
  const rows = await database.repeatable((queries) => queries.selectFrom('operations').select(ROW_COLUMNS).where('id', 'in', ids).execute());
  const byId = new Map(rows.map((row) => [row.id.toString('hex'), row]));
  const found = ids.map((id) => byId.get(id.toString('hex'))).filter((row) => row !== undefined);
  return Promise.all(found.map(toOperationRow));
}

export async function prune(database: Database, finishedBeforeMs: number, limit: number): Promise<number> {
  const deleted = await database.transaction(async (trx) => {
    const rows = await trx
      .selectFrom('operations')
      .select('id')
      .where('finished_at', '<=', agoMs(finishedBeforeMs))
      .orderBy('finished_at')
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute();
    if (rows.length > 0)
      await trx
        .deleteFrom('operations')
        .where(
          'id',
          'in',
          rows.map((row) => row.id),
        )
        .execute();
    return rows.length;
  });
  await pruneJournals(database, limit);
  await pruneSequence(database, limit);
  return deleted;
}

async function pruneSequence(database: Database, limit: number): Promise<void> {
  const newest = await database.repeatable((queries) =>
    queries
      .selectFrom('event_sequence')
      .select((select) => select.fn.max('id').as('id'))
      .executeTakeFirst(),
  );
  if (newest?.id === undefined || newest.id === null) return;
  const below = BigInt(newest.id) - BigInt(KEPT_SEQUENCES);
  if (below <= 0n) return;
  await database.repeatable((queries) => queries.deleteFrom('event_sequence').where('id', '<', below.toString()).orderBy('id').limit(limit).execute());
}

function agoMs(milliseconds: number) {
  return sql<Date>`UTC_TIMESTAMP(3) - INTERVAL ${sql.lit(Math.round(milliseconds * 1_000))} MICROSECOND`;
}
