import { StoreError } from '@skiff/model/store-error';
import type { Logger } from '@skiff/runtime/logger';
import { type Kysely, sql } from 'kysely';
import type { Database } from './connect.ts';
import type { Migration } from './migrations/migration.ts';
import { MIGRATIONS } from './migrations/migrations.ts';
import type { Tables } from './tables.ts';

const LOCK_POLL_SECONDS = 2;

export interface MigrateOptions {
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** For tests of the mechanism; the program's own by default. */
  readonly migrations?: readonly Migration[];
}

/**
 * Brings the schema up to this program's version, one process at a time (`GET_LOCK`; others wait until `signal` aborts).
 * Does nothing on a newer schema that this program works with. Safe to run again at any point of a run that was cut off.
 * @throws {StoreError} `unsupported` when the schema is too new for this program.
 */
export async function migrate(database: Database, options: MigrateOptions): Promise<void> {
  const migrations = options.migrations ?? MIGRATIONS;
  await database.queries.connection().execute(async (connection) => {
    await lock(connection, options);
    try {
      await createHistory(connection);
      const applied = await readHistory(connection);
      checkCompatible(applied, migrations);
      const done = new Set(applied.map((row) => row.version));
      for (const migration of migrations) {
        if (done.has(migration.version)) continue;
        options.signal.throwIfAborted();
        await apply(connection, migration);
        options.logger.info({ version: migration.version, migration: migration.name }, 'database migrated');
      }
    } finally {
      await unlock(connection, options.logger);
    }
  });
}

/** Where the schema stands, and whether a program with these migrations works with it. */
export interface SchemaState {
  /** Newest migration that has run; 0: none. */
  readonly version: number;
  /** `tooOld`: wait for a process that migrates. `tooNew`: this program must be upgraded. */
  readonly fit: 'fits' | 'tooOld' | 'tooNew';
}

/** For processes that do not migrate: a newer schema fits as long as it only added things. */
export async function schemaVersion(database: Database, migrations: readonly Migration[] = MIGRATIONS): Promise<SchemaState> {
  let applied: readonly HistoryRow[];
  try {
    applied = await database.repeatable(readHistory);
  } catch (error) {
    if (error instanceof StoreError && error.code === 'notFound' && error.vendorCode === 'ER_NO_SUCH_TABLE') return { version: 0, fit: 'tooOld' };
    throw error;
  }
  const own = newestOf(migrations);
  const version = Math.max(0, ...applied.map((row) => row.version));
  if (version < own) return { version, fit: 'tooOld' };
  return { version, fit: requiredBy(applied) > own ? 'tooNew' : 'fits' };
}

interface HistoryRow {
  readonly version: number;
  readonly compatible_from: number;
}

async function lock(connection: Kysely<Tables>, { signal, logger }: MigrateOptions): Promise<void> {
  for (let told = false; ; told = true) {
    signal.throwIfAborted();
    const { rows } = await sql<{
      taken: string | null;
    }>`SELECT GET_LOCK(CONCAT('skiff-migrate/', LEFT(DATABASE(), 40)), ${told ? LOCK_POLL_SECONDS : 0}) AS taken`.execute(connection);
    if (Number(rows[0]?.taken) === 1) return;
    if (!told) logger.info({}, 'another process migrates the database, waiting for it');
  }
}

async function unlock(connection: Kysely<Tables>, logger: Logger): Promise<void> {
  try {
    await sql`SELECT RELEASE_LOCK(CONCAT('skiff-migrate/', LEFT(DATABASE(), 40)))`.execute(connection);
  } catch (error) {
    // The connection is gone, and the lock with it.
    logger.debug({ err: error }, 'migration lock went away with its connection');
  }
}

async function createHistory(connection: Kysely<Tables>): Promise<void> {
  await sql`CREATE TABLE IF NOT EXISTS schema_migrations (
    version INT UNSIGNED NOT NULL PRIMARY KEY,
    name VARCHAR(128) NOT NULL,
    compatible_from INT UNSIGNED NOT NULL,
    applied_at DATETIME(3) NOT NULL
  ) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`.execute(connection);
}

function readHistory(connection: Kysely<Tables>): Promise<readonly HistoryRow[]> {
  return connection.selectFrom('schema_migrations').select(['version', 'compatible_from']).orderBy('version').execute();
}

async function apply(connection: Kysely<Tables>, migration: Migration): Promise<void> {
  for (const statement of migration.statements) await sql.raw(statement).execute(connection);
  const { version, name, compatibleFrom } = migration;
  await connection
    .insertInto('schema_migrations')
    .values({ version, name, compatible_from: compatibleFrom, applied_at: sql<Date>`UTC_TIMESTAMP(3)` })
    .execute();
}

function checkCompatible(applied: readonly HistoryRow[], migrations: readonly Migration[]): void {
  const required = requiredBy(applied);
  if (required <= newestOf(migrations)) return;
  throw new StoreError({
    code: 'unsupported',
    vendorCode: 'SCHEMA_TOO_NEW',
    message: `the database schema needs a program that knows migration ${required}, this one knows ${newestOf(migrations)}: upgrade this program`,
  });
}

function requiredBy(applied: readonly HistoryRow[]): number {
  return Math.max(0, ...applied.map((row) => row.compatible_from));
}

function newestOf(migrations: readonly Migration[]): number {
  return Math.max(0, ...migrations.map((migration) => migration.version));
}
