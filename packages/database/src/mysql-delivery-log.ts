import { type InsertObject, type RawBuilder, sql } from 'kysely';
import type { Database } from './connect.ts';
import type { ClaimedDelivery, DeliveryClaim, DeliveryKey, DeliveryLog, DeliveryPlace, DeliveryResult, PendingDelivery } from './delivery-log.ts';
import { forgetOrder, heldBack, IS_NEXT, insertOrder, pruneOrder } from './delivery-order.ts';
import { eventKey } from './event-key.ts';
import type { Tables } from './tables.ts';

const MAX_DETAIL_CHARACTERS = 1_000;
/** Rows and bytes per statement: bodies double in hexadecimal, and MariaDB takes 16 MiB by default. */
const CHUNK_ROWS = 500;
const CHUNK_BYTES = 4 << 20;

const NOW = sql<Date>`UTC_TIMESTAMP(3)`;

/**
 * Deliveries in MySQL. A claim moves `due_at` on by its lease, so that the index is the claim order: what is claimed is not
 * due, and a router that dies needs nobody to clean up after it.
 */
export function createDeliveryLog(database: Database): DeliveryLog {
  return {
    park: (deliveries) => park(database, deliveries),
    claimDue: (claim) => (claim.inOrder === true ? claimNext(database, claim) : claimDue(database, claim)),
    record: (results) => record(database, results),
    settled: (endpointId, eventId) => settled(database, endpointId, eventId),
    heldBack: (endpointId, order) => heldBack(database, endpointId, order),
    status: (endpointId) => status(database, endpointId),
    prune: (olderThanMs, limit) => prune(database, olderThanMs, limit),
  };
}

async function park(database: Database, deliveries: readonly PendingDelivery[]): Promise<void> {
  if (deliveries.length === 0) return;
  const rows = inKeyOrder(deliveries).map((delivery) => ({
    ...keyColumns(delivery),
    state: 'waiting',
    attempt: delivery.attempt,
    due_at: inMs(delivery.dueInMs),
    detail: shorten(delivery.reason),
    body: delivery.body,
    content_type: delivery.contentType,
    created_at: NOW,
    updated_at: NOW,
  }));
  await database.transaction(
    async (trx) => {
      for (const chunk of chunks(rows)) {
        await trx.insertInto('deliveries').values(chunk).onDuplicateKeyUpdate({ endpoint_id: sql`endpoint_id` }).execute();
      }
      await insertOrder(trx, inKeyOrder(deliveries));
    },
    { idempotent: true },
  );
}

/** Route and target are parts of the index (it ends in the primary key): rows of other targets are passed over without being read. */
function claimDue(
  database: Database,
  { endpointId, owner, limit, leaseMs, among }: DeliveryClaim,
  which: RawBuilder<boolean> = sql`TRUE`,
): Promise<readonly ClaimedDelivery[]> {
  return database.transaction(async (trx) => {
    const { rows } = await sql<{
      event_key: Buffer;
      event_id: string;
      route: string;
      target: string;
      attempt: number;
      body: Buffer;
      content_type: string | null;
    }>`
      SELECT event_key, event_id, route, target, attempt, body, content_type
      FROM deliveries FORCE INDEX (deliveries_due)
      WHERE endpoint_id = ${endpointId} AND state = 'waiting' AND due_at <= UTC_TIMESTAMP(3) AND ${amongPlaces(among)} AND ${which}
      ORDER BY due_at LIMIT ${sql.lit(limit)} FOR UPDATE SKIP LOCKED`.execute(trx);
    if (rows.length === 0) return [];
    await trx
      .updateTable('deliveries')
      .set({ due_at: inMs(leaseMs), claim_owner: owner })
      .where('endpoint_id', '=', endpointId)
      .where((where) =>
        where.or(rows.map((row) => where.and([where('event_key', '=', row.event_key), where('route', '=', row.route), where('target', '=', row.target)]))),
      )
      .execute();
    return rows.map((row) => ({
      endpointId,
      eventId: row.event_id,
      route: row.route,
      target: row.target,
      attempt: row.attempt,
      body: row.body,
      contentType: row.content_type ?? '',
    }));
  });
}

/** First reads, without locks, what is next in its order; then claims among that. */
async function claimNext(database: Database, claim: DeliveryClaim): Promise<readonly ClaimedDelivery[]> {
  const { rows } = await database.repeatable((queries) =>
    sql<{ event_key: Buffer; route: string; target: string }>`
      SELECT event_key, route, target FROM deliveries FORCE INDEX (deliveries_due)
      WHERE endpoint_id = ${claim.endpointId} AND state = 'waiting' AND due_at <= UTC_TIMESTAMP(3) AND ${amongPlaces(claim.among)} AND ${IS_NEXT}
      ORDER BY due_at LIMIT ${sql.lit(2 * claim.limit)}`.execute(queries),
  );
  if (rows.length === 0) return [];
  const among = rows.map((row) => sql`(event_key = ${row.event_key} AND route = ${row.route} AND target = ${row.target})`);
  return claimDue(database, claim, sql<boolean>`(${sql.join(among, sql` OR `)})`);
}

function amongPlaces(among: DeliveryClaim['among']): RawBuilder<boolean> {
  const isOf = ({ route, target }: DeliveryPlace) => sql`(route = ${route} AND target = ${target})`;
  if (among === undefined) return sql`TRUE`;
  if ('only' in among) return sql`${isOf(among.only)}`;
  return among.except.length === 0 ? sql`TRUE` : sql`NOT (${sql.join(among.except.map(isOf), sql` OR `)})`;
}

/** What has succeeded stays so: a late outcome of an earlier attempt does not bring it back. */
async function record(database: Database, results: readonly DeliveryResult[]): Promise<void> {
  if (results.length === 0) return;
  const sorted = inKeyOrder(results);
  const rows = sorted.map(toOutcome);
  const unlessSucceeded = <Value>(column: RawBuilder<Value>, value: RawBuilder<Value>) => sql<Value>`IF(state = 'succeeded', ${column}, ${value})`;
  await database.transaction(
    async (trx) => {
      for (const chunk of chunks(rows)) {
        await trx
          .insertInto('deliveries')
          .values(chunk)
          .onDuplicateKeyUpdate({
            attempt: unlessSucceeded(sql<number>`attempt`, sql`VALUES(attempt)`),
            detail: unlessSucceeded(sql<string>`detail`, sql`VALUES(detail)`),
            due_at: unlessSucceeded(sql<Date | null>`due_at`, sql`VALUES(due_at)`),
            updated_at: unlessSucceeded(sql<Date>`updated_at`, sql`VALUES(updated_at)`),
            body: sql`IF(state = 'succeeded' OR VALUES(state) = 'succeeded', NULL, body)`,
            claim_owner: null,
            // Assignments run from left to right: the state that the others look at is set last.
            state: unlessSucceeded(sql<string>`state`, sql`IF(VALUES(due_at) IS NULL, VALUES(state), 'waiting')`),
          })
          .execute();
      }
      await forgetOrder(
        trx,
        sorted.filter((result) => result.state === 'succeeded' && result.ordered === true),
      );
    },
    { idempotent: true },
  );
}

type OutcomeRow = Omit<InsertObject<Tables, 'deliveries'>, 'body'> & { readonly body?: null };

function toOutcome(result: DeliveryResult): OutcomeRow {
  const common = { ...keyColumns(result), attempt: result.attempt, created_at: NOW, updated_at: NOW };
  switch (result.state) {
    case 'succeeded':
      return { ...common, state: 'succeeded', due_at: null, detail: shorten(result.detail) };
    case 'waiting':
      // Without a row there is no body to try again with: such a delivery is dead. On a row that exists it becomes `waiting`.
      return { ...common, state: 'dead', due_at: inMs(result.dueInMs), detail: shorten(result.reason) };
    case 'dead':
      return { ...common, state: 'dead', due_at: null, detail: shorten(result.reason) };
  }
}

async function settled(database: Database, endpointId: number, eventId: string): Promise<ReadonlySet<string>> {
  const rows = await database.repeatable((queries) =>
    queries.selectFrom('deliveries').select(['route', 'target']).where('endpoint_id', '=', endpointId).where('event_key', '=', eventKey(eventId)).execute(),
  );
  return new Set(rows.map((row) => `${row.route} ${row.target}`));
}

async function status(database: Database, endpointId: number): Promise<{ readonly waiting: number; readonly dead: number }> {
  const rows = await database.repeatable((queries) =>
    queries
      .selectFrom('deliveries')
      .select(['state', (select) => select.fn.countAll<string>().as('count')])
      .where('endpoint_id', '=', endpointId)
      .where('state', 'in', ['waiting', 'dead'])
      .groupBy('state')
      .execute(),
  );
  const countOf = (state: string) => Number(rows.find((row) => row.state === state)?.count ?? 0);
  return { waiting: countOf('waiting'), dead: countOf('dead') };
}

async function prune(database: Database, olderThanMs: number, limit: number): Promise<number> {
  let deleted = 0;
  for (const state of ['succeeded', 'dead']) {
    const result = await database.repeatable((queries) =>
      queries
        .deleteFrom('deliveries')
        .where('state', '=', state)
        .where('updated_at', '<=', sql<Date>`UTC_TIMESTAMP(3) - INTERVAL ${sql.lit(Math.round(olderThanMs * 1_000))} MICROSECOND`)
        .orderBy('updated_at')
        .limit(limit - deleted)
        .executeTakeFirst(),
    );
    deleted += Number(result.numDeletedRows);
    if (deleted >= limit) break;
  }
  await pruneOrder(database, olderThanMs, limit);
  return deleted;
}

function keyColumns(key: DeliveryKey) {
  return { endpoint_id: key.endpointId, event_key: eventKey(key.eventId), route: key.route, target: key.target, event_id: key.eventId };
}

/** One order for all writers, so that none waits for another in a circle; results for one key keep theirs. */
function inKeyOrder<Entry extends DeliveryKey>(entries: readonly Entry[]): readonly Entry[] {
  const keyed = entries.map((entry) => ({ entry, key: `${entry.endpointId} ${eventKey(entry.eventId).toString('hex')} ${entry.route} ${entry.target}` }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ entry }) => entry);
}

function inMs(milliseconds: number): RawBuilder<Date> {
  return sql<Date>`UTC_TIMESTAMP(3) + INTERVAL ${sql.lit(Math.round(milliseconds * 1_000))} MICROSECOND`;
}

function shorten(text: string): string {
  return text.slice(0, MAX_DETAIL_CHARACTERS);
}

function chunks<Row extends { readonly body?: Buffer | null | undefined }>(rows: readonly Row[]): readonly (readonly Row[])[] {
  const all: Row[][] = [];
  let current: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    const size = row.body?.length ?? 0;
    if (current.length > 0 && (current.length >= CHUNK_ROWS || bytes + size > CHUNK_BYTES)) {
      all.push(current);
      current = [];
      bytes = 0;
    }
    current.push(row);
    bytes += size;
  }
  return current.length > 0 ? [...all, current] : all;
}
