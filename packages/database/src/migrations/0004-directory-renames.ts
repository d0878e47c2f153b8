import type { Migration } from './migration.ts';

/**
 * The journal of directory renames: a row says that files are being moved, so that the operation can only be carried through. The
 * operation itself looks to programs that know nothing of it like a removal of a directory without a plan: they leave it alone and
 * let nothing be written below either name (`operations/stored-kind`).
 */
export const directoryRenamesMigration: Migration = {
  version: 4,
  name: 'directory-renames',
  compatibleFrom: 1,
  statements: [
    `CREATE TABLE IF NOT EXISTS directory_renames (
      operation_id BINARY(16) NOT NULL PRIMARY KEY,
      moved INT UNSIGNED NOT NULL DEFAULT 0,
      started_at DATETIME(3) NOT NULL,
      updated_at DATETIME(3) NOT NULL
    ) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
  ],
};
