import { type InsertObject, type RawBuilder, sql } from 'kysely';
import type { Database } from './connect.ts';
import type {
  DeliveryHistory,
  DeliveryPosition,
  DeliveryRecord,
  DeliverySearch,
  DeliverySelection,
  DeliveryState,
  Replayable,
  ReplaySelection,
  RouteCountDelta,
  RouteCounts,
} from './delivery-history.ts';
import { eventKey } from './event-key.ts';
import type { Tables } from './tables.ts';

const MAX_FOUND = 1_000;
const MAX_REPLAYED = 10_000;
const MAX_REASON_CHARACTERS = 512;
const NOW = sql<Date>`UTC_TIMESTAMP(3)`;

export function createDeliveryHistory(database: Database): DeliveryHistory {
  return {
    search: (search) => find(database, search),
    replayable: (selection) => replayable(database, selection),
    replay: (selection) => replay(database, selection),
    addCounts: (endpointId, deltas) => addCounts(database, endpointId, deltas),
    counts: (endpointId) => counts(database, endpointId),
  };
}

async function find(database: Database, search: DeliverySearch): Promise<readonly DeliveryRecord[]> {
  const { endpointId, eventId, state, route, target, before, after, limit } = search;
  const rows = await database.repeatable((queries) => {
    let select = queries
      .selectFrom('deliveries')
      .select(['event_id', 'route', 'target', 'state', 'attempt', 'detail', 'created_at', 'updated_at', 'due_at'])
      .where('endpoint_id', '=', endpointId);
    if (eventId !== undefined) select = select.where('event_key', '=', eventKey(eventId));
    if (state !== undefined) select = select.where('state', '=', state);
    if (route !== undefined) select = select.where('route', '=', route);
    if (target !== undefined) select = select.where('target', '=', target);
    if (before !== undefined) select = select.where('updated_at', '<', before);
    if (after !== undefined) select = select.where('updated_at', '<=', after.updatedAt).where(comesAfter(after));
    return select
      .orderBy('updated_at', 'desc')
      .orderBy('event_key', 'desc')
      .orderBy('route', 'desc')
      .orderBy('target', 'desc')
      .limit(Math.min(limit, MAX_FOUND))
      .execute();
  });
  return rows.map((row) => ({
    endpointId,
    eventId: row.event_id,
    route: row.route,
    target: row.target,
    state: toState(row.state),
    attempt: row.attempt,
    detail: row.detail,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    dueAt: row.due_at,
  }));
}

function comesAfter({ updatedAt, eventId, route, target }: DeliveryPosition): RawBuilder<boolean> {
  return sql<boolean>`(updated_at < ${updatedAt} OR (event_key, route, target) < (${eventKey(eventId)}, ${route}, ${target}))`;
}

async function replayable(database: Database, selection: DeliverySelection): Promise<Replayable> {
  const row = await database.repeatable((queries) =>
    queries
      .selectFrom('deliveries')
      .select([
        sql<string>`COUNT(*)`.as('dead'),
        sql<string>`COUNT(IF(body IS NULL, NULL, 1))`.as('replayable'),
        // Changes of this millisecond are among those counted.
        sql<Date>`UTC_TIMESTAMP(3) + INTERVAL 1000 MICROSECOND`.as('as_of'),
      ])
      .where(deadOnes(selection))
      .executeTakeFirstOrThrow(),
  );
  return { replayable: Number(row.replayable), withoutMessage: Number(row.dead) - Number(row.replayable), asOf: row.as_of };
}

async function replay(database: Database, { limit, ...selection }: ReplaySelection): Promise<number> {
  const result = await database.repeatable((queries) =>
    queries
      .updateTable('deliveries')
      .set({ state: 'waiting', attempt: 0, due_at: NOW, claim_owner: null, detail: 'replayed', updated_at: NOW })
      .where(deadOnes(selection))
      .where('body', 'is not', null)
      .limit(Math.min(limit, MAX_REPLAYED))
      .executeTakeFirst(),
  );
  return Number(result.numUpdatedRows);
}

function deadOnes({ endpointId, route, target, eventId, before }: Omit<ReplaySelection, 'limit'>): RawBuilder<boolean> {
  const conditions = [sql`endpoint_id = ${endpointId}`, sql`state = 'dead'`];
  if (route !== undefined) conditions.push(sql`route = ${route}`);
  if (target !== undefined) conditions.push(sql`target = ${target}`);
  if (eventId !== undefined) conditions.push(sql`event_key = ${eventKey(eventId)}`);
  if (before !== undefined) conditions.push(sql`updated_at < ${before}`);
  return sql<boolean>`${sql.join(conditions, sql` AND `)}`;
}

async function addCounts(database: Database, endpointId: number, deltas: readonly RouteCountDelta[]): Promise<void> {
  const sorted = deltas.toSorted((left, right) => (left.route < right.route ? -1 : 1));
  await addTotals(
    database,
    sorted.map(({ route, delivered, died }) => ({
      endpoint_id: endpointId,
      route,
      delivered: String(delivered),
      dead: String(died),
      last_delivered_at: delivered > 0 ? NOW : null,
    })),
  );
  await noteFailures(
    database,
    sorted.flatMap(({ route, failure }) =>
      failure === undefined
        ? []
        : [{ endpoint_id: endpointId, route, last_failed_at: agoMs(failure.agoMs), reason: failure.reason.slice(0, MAX_REASON_CHARACTERS) }],
    ),
  );
}

async function addTotals(database: Database, rows: InsertObject<Tables, 'route_counters'>[]): Promise<void> {
  if (rows.length === 0) return;
  await database.repeatable((queries) =>
    queries
      .insertInto('route_counters')
      .values(rows)
      .onDuplicateKeyUpdate({
        delivered: sql`delivered + VALUES(delivered)`,
        dead: sql`dead + VALUES(dead)`,
        last_delivered_at: sql`COALESCE(VALUES(last_delivered_at), last_delivered_at)`,
      })
      .execute(),
  );
}

/** The later one stands. */
async function noteFailures(database: Database, rows: InsertObject<Tables, 'route_failures'>[]): Promise<void> {
  if (rows.length === 0) return;
  await database.repeatable((queries) =>
    queries
      .insertInto('route_failures')
      .values(rows)
      .onDuplicateKeyUpdate({
        reason: sql`IF(VALUES(last_failed_at) >= last_failed_at, VALUES(reason), reason)`,
        last_failed_at: sql`GREATEST(VALUES(last_failed_at), last_failed_at)`,
      })
      .execute(),
  );
}

async function counts(database: Database, endpointId: number): Promise<readonly RouteCounts[]> {
  const [totals, failures, unsettled] = await Promise.all([
    database.repeatable((queries) =>
      queries.selectFrom('route_counters').select(['route', 'delivered', 'dead', 'last_delivered_at']).where('endpoint_id', '=', endpointId).execute(),
    ),
    database.repeatable((queries) =>
      queries.selectFrom('route_failures').select(['route', 'last_failed_at', 'reason']).where('endpoint_id', '=', endpointId).execute(),
    ),
    database.repeatable((queries) =>
      queries
        .selectFrom('deliveries')
        .select(['route', 'state', (select) => select.fn.countAll<string>().as('count')])
        .where('endpoint_id', '=', endpointId)
        .where('state', 'in', ['waiting', 'dead'])
        .groupBy(['route', 'state'])
        .execute(),
    ),
  ]);
  const unsettledOf = new Map(unsettled.map(({ route, state, count }) => [`${state} ${route}`, Number(count)]));
  const failureOf = new Map(failures.map((row) => [row.route, { at: row.last_failed_at, reason: row.reason }]));
  const totalOf = new Map(totals.map((row) => [row.route, row]));
  return [...new Set([...totals, ...failures, ...unsettled].map(({ route }) => route))].toSorted().map((route) => {
    const total = totalOf.get(route);
    return {
      route,
      delivered: Number(total?.delivered ?? 0),
      died: Number(total?.dead ?? 0),
      lastDeliveredAt: total?.last_delivered_at ?? null,
      lastFailure: failureOf.get(route) ?? null,
      waiting: unsettledOf.get(`waiting ${route}`) ?? 0,
      dead: unsettledOf.get(`dead ${route}`) ?? 0,
    };
  });
}

function agoMs(milliseconds: number) {
  return sql<Date>`UTC_TIMESTAMP(3) - INTERVAL ${sql.lit(Math.max(0, Math.round(milliseconds * 1_000)))} MICROSECOND`;
}

function toState(text: string): DeliveryState {
  return text === 'succeeded' || text === 'dead' ? text : 'waiting';
}
