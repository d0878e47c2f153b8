import type { Migration } from './migration.ts';

/**
 * Names compare byte for byte (`utf8mb4_bin`); where trailing spaces or lengths could matter (`utf8mb4_bin` pads), the key is
 * a hash. Times are UTC with milliseconds. Operations: `operations_unfinished_and_outbox` is the order in which relays claim
 * (endpoint, state, sequence), so that `FOR UPDATE SKIP LOCKED` locks what it returns and little more.
 */
export const initialMigration: Migration = {
  version: 1,
  name: 'initial',
  compatibleFrom: 1,
  statements: [
    `CREATE TABLE IF NOT EXISTS endpoints (
      id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
      namespace VARCHAR(63) NOT NULL,
      name VARCHAR(253) NOT NULL,
      revision BIGINT UNSIGNED NOT NULL DEFAULT 0,
      pruned_revision BIGINT UNSIGNED NOT NULL DEFAULT 0,
      UNIQUE KEY endpoints_name (namespace, name)
    ) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
    `CREATE TABLE IF NOT EXISTS users (
      endpoint_id INT UNSIGNED NOT NULL,
      username VARCHAR(64) NOT NULL,
      revision BIGINT UNSIGNED NOT NULL,
      namespace VARCHAR(63) NOT NULL,
      name VARCHAR(253) NOT NULL,
      uid VARCHAR(64) NOT NULL,
      spec MEDIUMTEXT NOT NULL,
      deleted_at DATETIME(3) NULL,
      PRIMARY KEY (endpoint_id, username),
      KEY users_revision (endpoint_id, revision),
      KEY users_deleted (endpoint_id, deleted_at)
    ) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
    `CREATE TABLE IF NOT EXISTS routes (
      endpoint_id INT UNSIGNED NOT NULL,
      namespace VARCHAR(63) NOT NULL,
      name VARCHAR(253) NOT NULL,
      revision BIGINT UNSIGNED NOT NULL,
      spec MEDIUMTEXT NOT NULL,
      deleted_at DATETIME(3) NULL,
      PRIMARY KEY (endpoint_id, namespace, name),
      KEY routes_revision (endpoint_id, revision),
      KEY routes_deleted (endpoint_id, deleted_at)
    ) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
    `CREATE TABLE IF NOT EXISTS operations (
      id BINARY(16) NOT NULL PRIMARY KEY,
      kind VARCHAR(16) NOT NULL,
      state VARCHAR(16) NOT NULL,
      epoch INT UNSIGNED NOT NULL,
      owner VARCHAR(128) NULL,
      endpoint_id INT UNSIGNED NOT NULL,
      username VARCHAR(64) NOT NULL,
      storage VARCHAR(1024) NOT NULL,
      blob_name VARCHAR(1024) NOT NULL,
      target_blob_name VARCHAR(1024) NULL,
      prior_etag VARCHAR(255) NULL,
      plan LONGBLOB NULL,
      event MEDIUMBLOB NULL,
      sequence BIGINT UNSIGNED NULL,
      result_etag VARCHAR(255) NULL,
      unconfirmed TINYINT NULL,
      reason VARCHAR(1024) NULL,
      claim_owner VARCHAR(128) NULL,
      claim_until DATETIME(3) NULL,
      adoption BINARY(16) NULL,
      created_at DATETIME(3) NOT NULL,
      updated_at DATETIME(3) NOT NULL,
      finished_at DATETIME(3) NULL,
      KEY operations_unfinished_and_outbox (endpoint_id, state, sequence),
      KEY operations_finished (finished_at)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
    `CREATE TABLE IF NOT EXISTS operation_locks (
      lock_key BINARY(32) NOT NULL PRIMARY KEY,
      operation_id BINARY(16) NOT NULL,
      KEY operation_locks_operation (operation_id)
    ) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
    `CREATE TABLE IF NOT EXISTS event_sequence (
      id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY
    ) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
    `CREATE TABLE IF NOT EXISTS instances (
      id VARCHAR(128) NOT NULL PRIMARY KEY,
      mode VARCHAR(32) NOT NULL,
      renewals BIGINT UNSIGNED NOT NULL DEFAULT 0,
      registered_at DATETIME(3) NOT NULL,
      renewed_at DATETIME(3) NOT NULL
    ) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
    `CREATE TABLE IF NOT EXISTS deliveries (
      endpoint_id INT UNSIGNED NOT NULL,
      event_key BINARY(32) NOT NULL,
      route VARCHAR(317) NOT NULL,
      target VARCHAR(63) NOT NULL,
      event_id TEXT NOT NULL,
      state VARCHAR(16) NOT NULL,
      attempt INT UNSIGNED NOT NULL,
      due_at DATETIME(3) NULL,
      claim_owner VARCHAR(128) NULL,
      detail VARCHAR(1024) NOT NULL,
      body LONGBLOB NULL,
      content_type VARCHAR(255) NULL,
      created_at DATETIME(3) NOT NULL,
      updated_at DATETIME(3) NOT NULL,
      PRIMARY KEY (endpoint_id, event_key, route, target),
      KEY deliveries_due (endpoint_id, state, due_at),
      KEY deliveries_updated (state, updated_at)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
  ],
};
