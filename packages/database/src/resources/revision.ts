import { StoreError } from '@skiff/model/store-error';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../connect.ts';
import type { Tables } from '../tables.ts';

/** For how long readers can learn of a deletion; a reader that was away longer reads everything again. */
const TOMBSTONE_DAYS = 7;
const TOMBSTONES_PER_WRITE = 1_000;

/** Rows per statement: some hundred kilobytes. */
const CHUNK_ROWS = 500;

export const NOW = sql<Date>`UTC_TIMESTAMP(3)`;

/**
 * Runs a write under the endpoint's lock and gives it the next revision. Whoever sees that revision on the endpoint sees all
 * rows that carry it, because they are committed together, and no two writers can interleave.
 */
export function withNextRevision(database: Database, endpointId: number, write: (trx: Transaction<Tables>, revision: string) => Promise<void>): Promise<void> {
  return database.transaction(
    async (trx) => {
      const endpoint = await trx.selectFrom('endpoints').select('revision').where('id', '=', endpointId).forUpdate().executeTakeFirst();
      if (endpoint === undefined) throw noEndpoint(endpointId);
      const revision = (BigInt(endpoint.revision) + 1n).toString();
      await write(trx, revision);
      await pruneTombstones(trx, endpointId);
      await trx.updateTable('endpoints').set({ revision }).where('id', '=', endpointId).execute();
    },
    // Writing the same rows once more under a greater revision does no harm.
    { idempotent: true },
  );
}

export async function readRevision(queries: Kysely<Tables>, endpointId: number): Promise<{ readonly revision: bigint; readonly prunedRevision: bigint }> {
  const row = await queries.selectFrom('endpoints').select(['revision', 'pruned_revision']).where('id', '=', endpointId).executeTakeFirst();
  if (row === undefined) throw noEndpoint(endpointId);
  return { revision: BigInt(row.revision), prunedRevision: BigInt(row.pruned_revision) };
}

/** The revision up to which rows must be read now; `undefined`: nothing is newer than `since`. */
export async function revisionToRead(queries: Kysely<Tables>, endpointId: number, since: bigint): Promise<bigint | undefined> {
  const { revision, prunedRevision } = await readRevision(queries, endpointId);
  if (since !== 0n && (since > revision || since < prunedRevision)) {
    throw new StoreError({
      code: 'conflict',
      vendorCode: 'REVISION_UNKNOWN',
      message: `changes since revision ${since} are not known: the reader was away for more than ${TOMBSTONE_DAYS} days or the database was restored; read everything again`,
    });
  }
  return revision === since ? undefined : revision;
}

async function pruneTombstones(trx: Transaction<Tables>, endpointId: number): Promise<void> {
  const before = sql<Date>`UTC_TIMESTAMP(3) - INTERVAL ${sql.lit(TOMBSTONE_DAYS)} DAY`;
  for (const table of ['users', 'routes'] as const) {
    const old = await trx
      .selectFrom(table)
      .select('revision')
      .where('endpoint_id', '=', endpointId)
      .where('deleted_at', '<', before)
      .orderBy('revision')
      .limit(TOMBSTONES_PER_WRITE)
      .execute();
    const newest = old.at(-1)?.revision;
    if (newest === undefined) continue;
    await trx.deleteFrom(table).where('endpoint_id', '=', endpointId).where('deleted_at', '<', before).where('revision', '<=', newest).execute();
    await trx
      .updateTable('endpoints')
      .set({ pruned_revision: sql<string>`GREATEST(pruned_revision, ${newest})` })
      .where('id', '=', endpointId)
      .execute();
  }
}

export function chunksOf<Item>(items: readonly Item[], size = CHUNK_ROWS): readonly (readonly Item[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) => items.slice(index * size, (index + 1) * size));
}

function noEndpoint(endpointId: number): StoreError {
  return new StoreError({ code: 'notFound', vendorCode: 'NO_ENDPOINT', message: `the database knows no endpoint ${endpointId}` });
}
