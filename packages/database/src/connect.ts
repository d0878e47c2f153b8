import { isIP } from 'node:net';
import { StoreError } from '@skiff/model/store-error';
import type { Logger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { Kysely, sql, type Transaction } from 'kysely';
import type { SslOptions } from 'mysql2';
import { ConnectionPool } from './connection/connection-pool.ts';
import { parseDatabaseUrl } from './connection/parse-database-url.ts';
import { poolDialect } from './connection/pool-driver.ts';
import { withRetries } from './connection/retry.ts';
import { SqlConnection } from './connection/sql-connection.ts';
import type { Tables } from './tables.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const QUERY_TIMEOUT_MS = 10_000;
const ACQUIRE_TIMEOUT_MS = 10_000;
const MAX_IDLE_MS = 60_000;
const CLOSE_PATIENCE_MS = 5_000;

export interface DatabaseConfig {
  /** `mysql://user:password@host:3306/schema`, optionally `?socketPath=/run/mysqld/mysqld.sock` or `?ssl-mode=VERIFY_IDENTITY`. */
  readonly url: Secret<string>;
  readonly logger: Logger;
  /** A token to use as password (Entra), asked for again for each new connection. Requires TLS. */
  readonly passwordProvider?: () => Promise<string>;
  /** Most connections of this process. */
  readonly poolSize: number;
  /**
   * The server ends a session that has said nothing for so long, and rolls back what it had begun (`wait_timeout`, whole seconds): a
   * process that was suspended in a transaction cannot end it when it wakes. Our own idle connections are closed well before.
   * Absent: as the server is set.
   */
  readonly abandonedAfterMs?: number;
  /** TLS by these authorities. Absent: by the public ones where the URL asks for TLS, else none. Certificates are always verified. */
  readonly ssl?: { readonly ca?: string | undefined };
}

export interface TransactionOptions {
  /** The work may be repeated even when it is unknown whether it took effect. */
  readonly idempotent?: boolean;
  readonly signal?: AbortSignal;
}

/** The installation's database, for the repositories of this package. Failures are StoreErrors. */
export interface Database {
  readonly queries: Kysely<Tables>;
  /** One transaction (READ COMMITTED). Runs again after a deadlock; `work` must have no other effects than its statements. */
  transaction<Result>(work: (trx: Transaction<Tables>) => Promise<Result>, options?: TransactionOptions): Promise<Result>;
  /** A read, or a single statement that may be repeated: once more on a new connection when its own was lost. */
  repeatable<Result>(work: (queries: Kysely<Tables>) => Promise<Result>): Promise<Result>;
  /** Resolves when the server answers. @throws {StoreError} */
  ping(signal: AbortSignal): Promise<void>;
  /** Waits up to 5 s for what is under way, then cuts it off. */
  close(): Promise<void>;
}

/**
 * Opens a bounded pool. Connects on first use, so that a process can start while the database is away.
 * @throws {StoreError} `invalid` for a URL that cannot be read, for a token without TLS, and for TLS to a bare address.
 */
export function openDatabase(config: DatabaseConfig): Database {
  const address = parseDatabaseUrl(config.url);
  const tls = config.ssl ?? (address.tls ? {} : undefined);
  if (config.passwordProvider !== undefined && tls === undefined && address.socketPath === undefined) {
    throw new StoreError({ code: 'invalid', vendorCode: 'TLS_REQUIRED', message: 'a token as database password needs TLS: turn TLS on for the database' });
  }
  if (tls !== undefined && isIP(address.host) !== 0) {
    // mysql2 compares the certificate with the name `localhost` then.
    throw new StoreError({
      code: 'invalid',
      vendorCode: 'TLS_NEEDS_NAME',
      message: 'TLS for the database needs a host name in the database URL, not an address',
    });
  }
  if (!Number.isInteger(config.poolSize) || config.poolSize < 1) throw new RangeError('poolSize must be a positive integer');
  const ssl = tls === undefined ? undefined : toSslOptions(tls);
  const pool = new ConnectionPool({
    size: config.poolSize,
    acquireTimeoutMs: ACQUIRE_TIMEOUT_MS,
    maxIdleMs: Math.min(MAX_IDLE_MS, (config.abandonedAfterMs ?? Number.POSITIVE_INFINITY) / 2),
    open: async () => {
      const password = config.passwordProvider === undefined ? address.password : await askPassword(config.passwordProvider);
      const clearText = config.passwordProvider !== undefined;
      const timeouts = { connectTimeoutMs: CONNECT_TIMEOUT_MS, queryTimeoutMs: QUERY_TIMEOUT_MS, abandonedAfterMs: config.abandonedAfterMs };
      return SqlConnection.open({ address, password, ssl, clearText, ...timeouts });
    },
  });
  const queries = new Kysely<Tables>({ dialect: poolDialect(pool) });
  return {
    queries,
    transaction: (work, options) =>
      withRetries(() => queries.transaction().execute(work), { idempotent: options?.idempotent ?? false, signal: options?.signal }),
    repeatable: (work) => withRetries(() => work(queries), { idempotent: true }),
    async ping(signal) {
      await abortable(sql`SELECT 1`.execute(queries), signal);
    },
    async close() {
      await pool.close(CLOSE_PATIENCE_MS);
      config.logger.debug({}, 'database connections closed');
    },
  };
}

function toSslOptions(ssl: NonNullable<DatabaseConfig['ssl']>): SslOptions {
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    verifyIdentity: true,
    ...(ssl.ca === undefined ? {} : { ca: ssl.ca }),
  };
}

async function askPassword(provider: () => Promise<string>): Promise<Secret<string>> {
  try {
    return new Secret(await provider());
  } catch (cause) {
    throw new StoreError({
      code: 'unavailable',
      vendorCode: 'TOKEN',
      message: 'no token for the database could be had: check the workload identity of this pod and its federated credential',
      cause,
    });
  }
}

async function abortable(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () =>
    reject(new StoreError({ code: 'unavailable', vendorCode: 'ABORTED', message: 'the database did not answer in time', cause: signal.reason }));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
