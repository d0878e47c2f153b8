import type { Migration } from './migration.ts';

/** How many deliveries of each route succeeded and died, for its object's status. */
export const routeCountersMigration: Migration = {
  version: 3,
  name: 'route-counters',
  compatibleFrom: 1,
  statements: [
    `CREATE TABLE IF NOT EXISTS route_counters (
      endpoint_id INT UNSIGNED NOT NULL,
      route VARCHAR(317) NOT NULL,
      delivered BIGINT UNSIGNED NOT NULL DEFAULT 0,
      dead BIGINT UNSIGNED NOT NULL DEFAULT 0,
      last_delivered_at DATETIME(3) NULL,
      PRIMARY KEY (endpoint_id, route)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
  ],
};
