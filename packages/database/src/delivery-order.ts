import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { Database } from './connect.ts';
import type { PendingDelivery } from './delivery-log.ts';
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
 */
export const IS_NEXT: RawBuilder<boolean> = sql<boolean>`NOT EXISTS (
  SELECT 1 FROM delivery_order mine
  JOIN delivery_order earlier ON earlier.endpoint_id = mine.endpoint_id AND earlier.order_key = mine.order_key AND earlier.sequence < mine.sequence
    AND earlier.route = mine.route AND earlier.target = mine.target
  JOIN deliveries held ON ${isOf('held', 'earlier')} AND held.state = 'waiting'
  WHERE ${isOf('mine', 'deliveries')})`;

/** Takes away what orders nothing any more, a bounded batch at a time. */
export async function pruneOrder(database: Database, olderThanMs: number, limit: number): Promise<void> {
  const { rows } = await database.repeatable((queries) =>
    sql<{ endpoint_id: number; event_key: Buffer; route: string; target: string }>`
      SELECT old.endpoint_id, old.event_key, old.route, old.target FROM delivery_order old LEFT JOIN deliveries ON ${isOf('deliveries', 'old')}
      WHERE old.created_at <= UTC_TIMESTAMP(3) - INTERVAL ${sql.lit(Math.round(olderThanMs * 1_000))} MICROSECOND AND deliveries.endpoint_id IS NULL
      ORDER BY old.created_at LIMIT ${sql.lit(limit)}`.execute(queries),
  );
  if (rows.length === 0) return;
  await database.repeatable((queries) =>
    queries
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
      .execute(),
  );
}

function isOf(left: string, right: string): RawBuilder<boolean> {
  const columns = ['endpoint_id', 'event_key', 'route', 'target'];
  return sql<boolean>`${sql.join(
    columns.map((column) => sql`${sql.ref(`${left}.${column}`)} = ${sql.ref(`${right}.${column}`)}`),
    sql` AND `,
  )}`;
}
