import type { Migration } from './migration.ts';

/**
 * Aborted operations whose request may still reach the store are looked for again (DESIGN P2.7): `look_at` is when, `looks`
 * how often it was done. Counted, not timed: a clock that jumps makes a look early or late, but drops none. A table of its
 * own, because MySQL has no `ADD COLUMN IF NOT EXISTS`.
 */
export const lateLandingsMigration: Migration = {
  version: 2,
  name: 'late landings',
  compatibleFrom: 1,
  statements: [
    `CREATE TABLE IF NOT EXISTS operation_looks (
      operation_id BINARY(16) NOT NULL PRIMARY KEY,
      endpoint_id INT UNSIGNED NOT NULL,
      look_at DATETIME(3) NOT NULL,
      looks TINYINT UNSIGNED NOT NULL DEFAULT 0,
      KEY operation_looks_due (endpoint_id, look_at)
    ) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
  ],
};
