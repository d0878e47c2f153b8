import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { sql } from 'kysely';
import { type Database, openDatabase } from '../connect.ts';
import { migrate } from '../migrate.ts';
import { type PrivateMariadb, startPrivateMariadb } from '../private-mariadb.ts';

let server: Promise<PrivateMariadb> | undefined;

export interface TestDatabase {
  readonly database: Database;
  /** For further pools or processes on the same schema. */
  readonly url: Secret<string>;
  /** The same over TCP, for a fault proxy in between. */
  readonly tcpUrl: Secret<string>;
  /** Closes the pool and drops the schema. The server ends with the process. */
  close(): Promise<void>;
}

/** The test process's own MariaDB, started at the first call (about a second) and shared by all that follow. */
export function sharedMariadb(): Promise<PrivateMariadb> {
  server ??= start();
  return server;
}

async function start(): Promise<PrivateMariadb> {
  const dataDir = await mkdtemp(join(tmpdir(), 'skiff-test-db-'));
  return startPrivateMariadb({ dataDir, logger: silentLogger, signal: AbortSignal.timeout(90_000), ephemeral: true });
}

/** A fresh schema, migrated unless `empty`, on {@link sharedMariadb}. */
export async function openTestDatabase(options: { readonly poolSize?: number; readonly empty?: boolean } = {}): Promise<TestDatabase> {
  const mariadb = await sharedMariadb();
  const schema = `t_${randomBytes(6).toString('hex')}`;
  const admin = openDatabase({ url: mariadb.url, logger: silentLogger, poolSize: 1 });
  await sql`CREATE DATABASE ${sql.id(schema)} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`.execute(admin.queries);
  const url = withSchema(mariadb.url, schema);
  const database = openDatabase({ url, logger: silentLogger, poolSize: options.poolSize ?? 10 });
  if (options.empty !== true) await migrate(database, { signal: AbortSignal.timeout(30_000), logger: silentLogger });
  return {
    database,
    url,
    tcpUrl: withSchema(mariadb.tcpUrl, schema),
    async close() {
      await database.close();
      await sql`DROP DATABASE ${sql.id(schema)}`.execute(admin.queries);
      await admin.close();
    },
  };
}

function withSchema(url: Secret<string>, schema: string): Secret<string> {
  const changed = new URL(url.reveal());
  changed.pathname = `/${schema}`;
  return new Secret(changed.href);
}
