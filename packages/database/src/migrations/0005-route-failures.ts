import type { Migration } from './migration.ts';

/** The last failed attempt of each route, for its object's status. A table of its own, because MySQL has no `ADD COLUMN IF NOT EXISTS`. */
export const routeFailuresMigration: Migration = {
  version: 5,
  name: 'route failures',
  compatibleFrom: 1,
  statements: [
    `CREATE TABLE IF NOT EXISTS route_failures (
      endpoint_id INT UNSIGNED NOT NULL,
      route VARCHAR(317) NOT NULL,
      last_failed_at DATETIME(3) NOT NULL,
      reason VARCHAR(512) NOT NULL,
      PRIMARY KEY (endpoint_id, route)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
  ],
};
