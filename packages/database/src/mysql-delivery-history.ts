import { sql } from 'kysely';
import type { Database } from './connect.ts';
import type { DeliveryHistory, DeliveryRecord, DeliverySearch, DeliveryState, ReplaySelection, RouteCountDelta, RouteCounts } from './delivery-history.ts';
import { eventKey } from './event-key.ts';

const MAX_FOUND = 1_000;
const MAX_REPLAYED = 10_000;
const NOW = sql<Date>`UTC_TIMESTAMP(3)`;

export function createDeliveryHistory(database: Database): DeliveryHistory {
  return {
    search: (search) => find(database, search),
    replay: (selection) => replay(database, selection),
    addCounts: (endpointId, deltas) => addCounts(database, endpointId, deltas),
    counts: (endpointId) => counts(database, endpointId),
  };
}

async function find(database: Database, search: DeliverySearch): Promise<readonly DeliveryRecord[]> {
  const { endpointId, eventId, state, route, target, before, limit } = search;
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
    return select.orderBy('updated_at', 'desc').limit(Math.min(limit, MAX_FOUND)).execute();
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

async function replay(database: Database, { endpointId, route, target, eventId, limit }: ReplaySelection): Promise<number> {
  const result = await database.repeatable((queries) => {
    let update = queries
      .updateTable('deliveries')
      .set({ state: 'waiting', attempt: 0, due_at: NOW, claim_owner: null, detail: 'replayed', updated_at: NOW })
      .where('endpoint_id', '=', endpointId)
      .where('state', '=', 'dead')
      .where('body', 'is not', null);
    if (route !== undefined) update = update.where('route', '=', route);
    if (target !== undefined) update = update.where('target', '=', target);
    if (eventId !== undefined) update = update.where('event_key', '=', eventKey(eventId));
    return update.limit(Math.min(limit, MAX_REPLAYED)).executeTakeFirst();
  });
  return Number(result.numUpdatedRows);
}

async function addCounts(database: Database, endpointId: number, deltas: readonly RouteCountDelta[]): Promise<void> {
  if (deltas.length === 0) return;
  const rows = deltas
    .toSorted((left, right) => (left.route < right.route ? -1 : 1))
    .map(({ route, delivered, dead }) => ({
      endpoint_id: endpointId,
      route,
      delivered: String(delivered),
      dead: String(dead),
      last_delivered_at: delivered > 0 ? NOW : null,
    }));
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

async function counts(database: Database, endpointId: number): Promise<readonly RouteCounts[]> {
  const [totals, waiting] = await Promise.all([
    database.repeatable((queries) =>
      queries.selectFrom('route_counters').select(['route', 'delivered', 'dead', 'last_delivered_at']).where('endpoint_id', '=', endpointId).execute(),
    ),
    database.repeatable((queries) =>
      queries
        .selectFrom('deliveries')
        .select(['route', (select) => select.fn.countAll<string>().as('count')])
        .where('endpoint_id', '=', endpointId)
        .where('state', '=', 'waiting')
        .groupBy('route')
        .execute(),
    ),
  ]);
  const waitingOf = new Map(waiting.map((row) => [row.route, Number(row.count)]));
  const known = new Map(totals.map((row) => [row.route, row]));
  return [...new Set([...known.keys(), ...waitingOf.keys()])].toSorted().map((route) => {
    const row = known.get(route);
    return {
      route,
      delivered: Number(row?.delivered ?? 0),
      dead: Number(row?.dead ?? 0),
      lastDeliveredAt: row?.last_delivered_at ?? null,
      waiting: waitingOf.get(route) ?? 0,
    };
  });
}

function toState(text: string): DeliveryState {
  return text === 'succeeded' || text === 'dead' ? text : 'waiting';
}
