import { type Kysely, type RawBuilder, type Selectable, sql, type Transaction } from 'kysely';
import type { Database } from './connect.ts';
import type { DeliveryKey, PendingDelivery } from './delivery-log.ts';
import { eventKey } from './event-key.ts';
import type { Tables } from './tables.ts';

const NOW = sql<Date>`UTC_TIMESTAMP(3)`;

/** In the transaction that parks the deliveries. */
export async function insertOrder(trx: Transaction<Tables>, deliveries: readonly PendingDelivery[]): Promise<void> {
  const rows = deliveries.flatMap(({ endpointId, eventId, route, target, order }) =>
    order === undefined
      ? []
      : [
          {
            endpoint_id: endpointId,
            event_key: eventKey(eventId),
            route,
            target,
            order_key: order.key,
            sequence: order.sequence.toString(),
            created_at: NOW,
          },
        ],
  );
  if (rows.length > 0) await trx.insertInto('delivery_order').values(rows).onDuplicateKeyUpdate({ endpoint_id: sql`endpoint_id` }).execute();
}

/** Places (`route target`) at which an earlier delivery of the same order waits. */
export async function heldBack(database: Database, endpointId: number, order: NonNullable<PendingDelivery['order']>): Promise<ReadonlySet<string>> {
  const { rows } = await database.repeatable((queries) =>
    sql<{ route: string; target: string }>`
      SELECT DISTINCT earlier.route, earlier.target FROM delivery_order earlier JOIN deliveries held ON ${isOf('held', 'earlier')}
      WHERE earlier.endpoint_id = ${endpointId} AND earlier.order_key = ${order.key} AND earlier.sequence < ${order.sequence.toString()}
        AND held.state = 'waiting'`.execute(queries),
  );
  return new Set(rows.map(({ route, target }) => `${route} ${target}`));
}

/**
 * True of a row of `deliveries` before which no other has to go. For reads without locks: with `SKIP LOCKED` a row that somebody works
 * on would seem to be gone. What is true here stays true, since later rows alone are added.
 *
 * One row at a time, and from the lowest sequence up: of `NOT EXISTS` MariaDB makes a table of all pairs first (measured on 10.11: 1.1 s a
 * look at 1,000 deliveries of one path).
 */
export const IS_NEXT: RawBuilder<boolean> = sql<boolean>`(
  SELECT STRAIGHT_JOIN 1 FROM delivery_order mine
  JOIN delivery_order earlier FORCE INDEX (delivery_order_key) ON earlier.endpoint_id = mine.endpoint_id AND earlier.order_key = mine.order_key
    AND earlier.sequence < mine.sequence AND earlier.route = mine.route AND earlier.target = mine.target
  JOIN deliveries held FORCE INDEX (PRIMARY) ON ${isOf('held', 'earlier')} AND held.state = 'waiting'
  WHERE ${isOf('mine', 'deliveries')} LIMIT 1) IS NULL`;

/** Takes away what orders nothing any more, a bounded batch at a time. */
export async function pruneOrder(database: Database, olderThanMs: number, limit: number): Promise<void> {
  const { rows } = await database.repeatable((queries) =>
    sql<OrderKey>`
      SELECT old.endpoint_id, old.event_key, old.route, old.target FROM delivery_order old LEFT JOIN deliveries ON ${isOf('deliveries', 'old')}
      WHERE old.created_at <= UTC_TIMESTAMP(3) - INTERVAL ${sql.lit(Math.round(olderThanMs * 1_000))} MICROSECOND AND deliveries.endpoint_id IS NULL
      ORDER BY old.created_at LIMIT ${sql.lit(limit)}`.execute(queries),
  );
  if (rows.length > 0) await database.repeatable((queries) => deleteOrder(queries, rows));
}

/** Takes away what has succeeded, in the transaction that records it: whoever looks for what waits would pass over all that ever did. */
export async function forgetOrder(trx: Transaction<Tables>, deliveries: readonly DeliveryKey[]): Promise<void> {
  if (deliveries.length === 0) return;
  await deleteOrder(
    trx,
    deliveries.map(({ endpointId, eventId, route, target }) => ({ endpoint_id: endpointId, event_key: eventKey(eventId), route, target })),
  );
}

type OrderKey = Pick<Selectable<Tables['delivery_order']>, 'endpoint_id' | 'event_key' | 'route' | 'target'>;

function deleteOrder(queries: Kysely<Tables>, rows: readonly OrderKey[]): Promise<unknown> {
  return queries
    .deleteFrom('delivery_order')
    .where((where) =>
      where.or(
        rows.map((row) =>
          where.and([
            where('endpoint_id', '=', row.endpoint_id),
            where('event_key', '=', row.event_key),
            where('route', '=', row.route),
            where('target', '=', row.target),
          ]),
        ),
      ),
    )
    .execute();
}

function isOf(left: string, right: string): RawBuilder<boolean> {
  const columns = ['endpoint_id', 'event_key', 'route', 'target'];
  return sql<boolean>`${sql.join(
    columns.map((column) => sql`${sql.ref(`${left}.${column}`)} = ${sql.ref(`${right}.${column}`)}`),
    sql` AND `,
  )}`;
}
