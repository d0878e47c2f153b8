import type { Migration } from './migration.ts';

/**
 * Which deliveries wait for which: those of one `order_key` (a path) at one target go in the order of `sequence`. A table of its own,
 * because MySQL has no `ADD COLUMN IF NOT EXISTS`, and because most endpoints promise no order. A row may outlive its delivery: only
 * deliveries that wait hold others back.
 */
export const deliveryOrderMigration: Migration = {
  version: 6,
  name: 'delivery-order',
  compatibleFrom: 1,
  statements: [
    `CREATE TABLE IF NOT EXISTS delivery_order (
      endpoint_id INT UNSIGNED NOT NULL,
      event_key BINARY(32) NOT NULL,
      route VARCHAR(317) NOT NULL,
      target VARCHAR(63) NOT NULL,
      order_key BINARY(32) NOT NULL,
      sequence BIGINT UNSIGNED NOT NULL,
      created_at DATETIME(3) NOT NULL,
      PRIMARY KEY (endpoint_id, event_key, route, target),
      KEY delivery_order_key (endpoint_id, order_key, sequence),
      KEY delivery_order_created (created_at)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
  ],
};
