import type { FileEvent } from '@skiff/model/file-event';
import { type InstanceId, type OperationId, toOperationId } from '@skiff/model/upload-state';
import { sql } from 'kysely';
import type { Database } from '../connect.ts';
import { sortedIds } from './operation-row.ts';
import { type FinishedRow, toEvent } from './transitions.ts';

/** Longer than a relay waits for the bus. */
const CLAIM_SECONDS = 30;
/** A claim further ahead than any is made was made before the database's clock went back: it does not count. */
const LONGEST_CLAIM_SECONDS = 60;

export interface ClaimedEvent {
  readonly id: OperationId;
  readonly event: FileEvent;
}

/**
 * Claims in index order: without a sort, `FOR UPDATE SKIP LOCKED` locks the rows it returns; rows that it passes because they
 * are claimed are unlocked at once (READ COMMITTED). The index is forced because the optimizer likes to sort instead.
 */
export function claimPublishable(database: Database, endpointId: number, owner: InstanceId, limit: number): Promise<readonly ClaimedEvent[]> {
  return database.transaction(async (trx) => {
    const { rows } = await sql<FinishedRow & { readonly id: Buffer }>`
      SELECT id, event, sequence, result_etag, unconfirmed
      FROM operations FORCE INDEX (operations_unfinished_and_outbox)
      WHERE endpoint_id = ${endpointId} AND state = 'committed'
        AND (claim_until IS NULL OR claim_until <= UTC_TIMESTAMP(3) OR claim_until > UTC_TIMESTAMP(3) + INTERVAL ${sql.lit(LONGEST_CLAIM_SECONDS)} SECOND)
      ORDER BY sequence LIMIT ${sql.lit(limit)} FOR UPDATE SKIP LOCKED`.execute(trx);
    const claimed = rows.flatMap((row) => {
      const event = toEvent(row);
      return event === undefined ? [] : [{ id: toOperationId(row.id), event }];
    });
    if (claimed.length > 0) {
      await trx
        .updateTable('operations')
        .set({ claim_owner: owner, claim_until: sql<Date>`UTC_TIMESTAMP(3) + INTERVAL ${sql.lit(CLAIM_SECONDS)} SECOND` })
        .where('id', 'in', sortedIds(claimed.map((entry) => entry.id)))
        .execute();
    }
    return claimed;
  });
}

export async function releasePublishable(database: Database, ids: readonly OperationId[]): Promise<void> {
  if (ids.length === 0) return;
  await database.repeatable((queries) =>
    queries
      .updateTable('operations')
      .set({ claim_owner: null, claim_until: null })
      .where('id', 'in', sortedIds(ids))
      .where('state', '=', 'committed')
      .execute(),
  );
}

/** Counted in the index alone; the age is that of the row with the lowest sequence. */
export async function outboxStatus(database: Database, endpointId: number): Promise<{ readonly waiting: number; readonly oldestAgeMs: number }> {
  return database.repeatable(async (queries) => {
    const counted = await sql<{ waiting: string }>`
      SELECT COUNT(*) AS waiting FROM operations FORCE INDEX (operations_unfinished_and_outbox)
      WHERE endpoint_id = ${endpointId} AND state = 'committed'`.execute(queries);
    const oldest = await sql<{ age: string }>`
      SELECT TIMESTAMPDIFF(MICROSECOND, updated_at, UTC_TIMESTAMP(3)) AS age
      FROM operations FORCE INDEX (operations_unfinished_and_outbox)
      WHERE endpoint_id = ${endpointId} AND state = 'committed' ORDER BY sequence LIMIT 1`.execute(queries);
    return { waiting: Number(counted.rows[0]?.waiting ?? 0), oldestAgeMs: Math.max(0, Number(oldest.rows[0]?.age ?? 0) / 1_000) };
  });
}
