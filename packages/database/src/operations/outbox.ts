import type { FileEvent } from '@skiff/model/file-event';
import { type InstanceId, type OperationId, toOperationId } from '@skiff/model/upload-state';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../connect.ts';
import type { OutboxStatus } from '../operation-log.ts';
import type { Tables } from '../tables.ts';
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

interface PublishableRow extends FinishedRow {
  readonly id: Buffer;
}

/** Unclaimed, by the database's clock. */
const UNCLAIMED = sql`(claim_until IS NULL OR claim_until <= UTC_TIMESTAMP(3) OR claim_until > UTC_TIMESTAMP(3) + INTERVAL ${sql.lit(LONGEST_CLAIM_SECONDS)} SECOND)`;

/** Rounds in which other relays may take all that this one has seen. */
const MAX_ROUNDS = 5;

/**
 * Claims the lowest unclaimed events. Reads first, without locks, and then locks among twice as many as it wants: MariaDB
 * keeps the lock on every row that a `FOR UPDATE` has passed (measured on 10.11, READ COMMITTED), and behind thousands of
 * claimed rows that would be thousands of locks.
 */
export async function claimPublishable(database: Database, endpointId: number, owner: InstanceId, limit: number): Promise<readonly ClaimedEvent[]> {
  for (let round = 1; ; round++) {
    const candidates = await database.repeatable((queries) => findUnclaimed(queries, endpointId, 2 * limit));
    if (candidates.length === 0) return [];
    const claimed = await database.transaction((trx) => claimAmong(trx, { endpointId, owner, limit, candidates }));
    if (claimed.length > 0 || round >= MAX_ROUNDS) return claimed;
  }
}

/** Sequences in order; takes no locks. */
export async function findUnclaimed(queries: Kysely<Tables>, endpointId: number, limit: number): Promise<readonly string[]> {
  const { rows } = await sql<{ sequence: string }>`
    SELECT sequence FROM operations FORCE INDEX (operations_unfinished_and_outbox)
    WHERE endpoint_id = ${endpointId} AND state = 'committed' AND ${UNCLAIMED} ORDER BY sequence LIMIT ${sql.lit(limit)}`.execute(queries);
  return rows.map((row) => row.sequence);
}

/** Rows that one look at the outbox reads to find the lowest of each path. */
const ORDERED_WINDOW = 2_000;

/**
 * Claims the lowest unpublished events of their paths, so that nobody publishes an event while an earlier one of the same path is not
 * confirmed. A rename counts for both its names. What the owner itself has claimed may be claimed again: it must call one at a time.
 */
export async function claimLowestOfPaths(database: Database, endpointId: number, owner: InstanceId, limit: number): Promise<readonly ClaimedEvent[]> {
  for (let round = 1; ; round++) {
    const { rows } = await database.repeatable((queries) =>
      sql<OrderedRow>`
        SELECT sequence, storage, blob_name, target_blob_name, (${UNCLAIMED} OR claim_owner = ${owner}) AS free
        FROM operations FORCE INDEX (operations_unfinished_and_outbox)
        WHERE endpoint_id = ${endpointId} AND state = 'committed' ORDER BY sequence LIMIT ${sql.lit(ORDERED_WINDOW)}`.execute(queries),
    );
    const candidates = lowestOfPaths(rows)
      .filter((row) => Number(row.free) === 1)
      .slice(0, 2 * limit)
      .map((row) => row.sequence);
    if (candidates.length === 0) return [];
    const claimed = await database.transaction((trx) => claimAmong(trx, { endpointId, owner, limit, candidates, ownToo: true }));
    if (claimed.length > 0 || round >= MAX_ROUNDS) return claimed;
  }
}

interface OrderedRow {
  readonly sequence: string;
  readonly storage: string;
  readonly blob_name: string;
  readonly target_blob_name: string | null;
  readonly free: string | number;
}

/** `rows` in order of their sequences. */
export function lowestOfPaths<Row extends Pick<OrderedRow, 'storage' | 'blob_name' | 'target_blob_name'>>(rows: readonly Row[]): readonly Row[] {
  const seen = new Set<string>();
  return rows.filter(({ storage, blob_name, target_blob_name }) => {
    const names = [blob_name, ...(target_blob_name === null ? [] : [target_blob_name])].map((name) => `${storage}\0${name}`);
    const first = names.every((name) => !seen.has(name));
    for (const name of names) seen.add(name);
    return first;
  });
}

interface Claim {
  readonly endpointId: number;
  readonly owner: InstanceId;
  readonly limit: number;
  /** Sequences. */
  readonly candidates: readonly string[];
  /** Also what the owner has claimed before. */
  readonly ownToo?: boolean;
}

/** One transaction of {@link claimPublishable}. */
export async function claimAmong(trx: Transaction<Tables>, { endpointId, owner, limit, candidates, ownToo }: Claim): Promise<readonly ClaimedEvent[]> {
  const { rows } = await sql<PublishableRow>`
    SELECT id, event, sequence, result_etag, unconfirmed
    FROM operations FORCE INDEX (operations_unfinished_and_outbox)
    WHERE endpoint_id = ${endpointId} AND state = 'committed' AND sequence IN (${sql.join(candidates)}) AND (${UNCLAIMED} OR ${ownToo === true ? sql`claim_owner = ${owner}` : sql`FALSE`})
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

/** Events that were refused wait for their turn again: the bus may be another by now, or its limit. Returns how many. */
export async function readmitRefused(database: Database, endpointId: number): Promise<number> {
  const result = await database.repeatable((queries) =>
    queries
      .updateTable('operations')
      .set({ state: 'committed', reason: null, updated_at: sql<Date>`UTC_TIMESTAMP(3)` })
      .where('endpoint_id', '=', endpointId)
      .where('state', '=', 'refused')
      .executeTakeFirst(),
  );
  return Number(result.numUpdatedRows);
}

/** Recovery may commit late what drew a low sequence long ago: the lowest of those that wait is not always the oldest. */
const OLDEST_AMONG = 100;

/** Counted in the index alone; the age is the greatest among the rows with the lowest sequences. 0 when none waits. */
export async function outboxStatus(database: Database, endpointId: number): Promise<OutboxStatus> {
  return database.repeatable(async (queries) => {
    const counted = await sql<{ waiting: string }>`
      SELECT COUNT(*) AS waiting FROM operations FORCE INDEX (operations_unfinished_and_outbox)
      WHERE endpoint_id = ${endpointId} AND state = 'committed'`.execute(queries);
    const oldest = await sql<{ age: string | null }>`
      SELECT MAX(age) AS age FROM (
        SELECT TIMESTAMPDIFF(MICROSECOND, updated_at, UTC_TIMESTAMP(3)) AS age
        FROM operations FORCE INDEX (operations_unfinished_and_outbox)
        WHERE endpoint_id = ${endpointId} AND state = 'committed' ORDER BY sequence LIMIT ${sql.lit(OLDEST_AMONG)}) AS first`.execute(queries);
    const refused = await sql<{ refused: string }>`
      SELECT COUNT(*) AS refused FROM operations FORCE INDEX (operations_unfinished_and_outbox)
      WHERE endpoint_id = ${endpointId} AND state = 'refused'`.execute(queries);
    const counts = { waiting: Number(counted.rows[0]?.waiting ?? 0), refused: Number(refused.rows[0]?.refused ?? 0) };
    return { ...counts, oldestAgeMs: Math.max(0, Number(oldest.rows[0]?.age ?? 0) / 1_000) };
  });
}
