import { errorCodeOf } from '@skiff/model/error-code';
import { StoreError, type StoreErrorCode } from '@skiff/model/store-error';

/** MySQL's and Node's error names, and what they mean to a caller. Numbers: MySQL 8.0 Error Message Reference. */
const CODES: Readonly<Record<string, StoreErrorCode>> = {
  ER_LOCK_DEADLOCK: 'throttled',
  ER_LOCK_WAIT_TIMEOUT: 'throttled',
  // MariaDB: another transaction changed the row since this one's snapshot.
  ER_CHECKREAD: 'throttled',
  ER_TOO_MANY_CONCURRENT_TRXS: 'throttled',
  ER_ACCESS_DENIED_ERROR: 'denied',
  ER_DBACCESS_DENIED_ERROR: 'denied',
  ER_TABLEACCESS_DENIED_ERROR: 'denied',
  ER_COLUMNACCESS_DENIED_ERROR: 'denied',
  ER_SPECIFIC_ACCESS_DENIED_ERROR: 'denied',
  ER_ACCESS_DENIED_NO_PASSWORD_ERROR: 'denied',
  ER_MUST_CHANGE_PASSWORD: 'denied',
  ER_MUST_CHANGE_PASSWORD_LOGIN: 'denied',
  ER_ACCOUNT_HAS_BEEN_LOCKED: 'denied',
  AUTH_SWITCH_PLUGIN_ERROR: 'denied',
  ER_SECURE_TRANSPORT_REQUIRED: 'denied',
  ER_BAD_DB_ERROR: 'notFound',
  ER_NO_SUCH_TABLE: 'notFound',
  ER_DUP_ENTRY: 'alreadyExists',
  ER_DATA_TOO_LONG: 'invalid',
  ER_NET_PACKET_TOO_LARGE: 'invalid',
  ER_PARSE_ERROR: 'invalid',
  ER_BAD_FIELD_ERROR: 'invalid',
  ER_CON_COUNT_ERROR: 'unavailable',
  ER_TOO_MANY_USER_CONNECTIONS: 'unavailable',
  ER_USER_LIMIT_REACHED: 'unavailable',
  ER_SERVER_SHUTDOWN: 'unavailable',
  ER_QUERY_INTERRUPTED: 'unavailable',
  ER_CONNECTION_KILLED: 'unavailable',
  ER_NEW_ABORTING_CONNECTION: 'unavailable',
  ER_CLIENT_INTERACTION_TIMEOUT: 'unavailable',
  // A primary that has become a replica: the name in the URL leads to the new one soon.
  ER_OPTION_PREVENTS_STATEMENT: 'unavailable',
  ER_READ_ONLY_MODE: 'unavailable',
  ER_DISK_FULL: 'unavailable',
  ER_RECORD_FILE_FULL: 'unavailable',
  PROTOCOL_CONNECTION_LOST: 'unavailable',
  PROTOCOL_SEQUENCE_TIMEOUT: 'unavailable',
  PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR: 'unavailable',
  HANDSHAKE_SSL_ERROR: 'unavailable',
  HANDSHAKE_NO_SSL_SUPPORT: 'unavailable',
  ECONNREFUSED: 'unavailable',
  ECONNRESET: 'unavailable',
  ECONNABORTED: 'unavailable',
  EPIPE: 'unavailable',
  ETIMEDOUT: 'unavailable',
  EHOSTUNREACH: 'unavailable',
  ENETUNREACH: 'unavailable',
  ENOTFOUND: 'unavailable',
  EAI_AGAIN: 'unavailable',
  ENOENT: 'unavailable',
};

/** What the reader of the log should do about it. */
const ADVICE: Readonly<Record<string, string>> = {
  ER_ACCESS_DENIED_ERROR: "refuses the user or password: check the database URL's user, its password or its workload identity",
  ER_DBACCESS_DENIED_ERROR: 'refuses the user this database: grant it all privileges on the schema named in the database URL',
  ER_TABLEACCESS_DENIED_ERROR: 'refuses the user a table: grant it all privileges on the schema named in the database URL',
  ER_BAD_DB_ERROR: 'has no such schema: create the schema named in the database URL',
  ER_NO_SUCH_TABLE: 'lacks a table: run the migrations (the operator does at its start)',
  ER_CON_COUNT_ERROR: 'has no connection left: raise max_connections, or lower the pool size or the number of pods',
  ER_TOO_MANY_USER_CONNECTIONS: "has no connection left for this user: raise the user's limit, or lower the pool size",
  ER_OPTION_PREVENTS_STATEMENT: 'is read-only: point the database URL at the primary; during a failover this passes by itself',
  ER_DISK_FULL: 'has no disk space left: extend its storage',
  ER_RECORD_FILE_FULL: 'has no disk space left: extend its storage',
  ER_NET_PACKET_TOO_LARGE: 'refuses a statement of this size: set max_allowed_packet to 16 MiB or more',
  MYSQL_CLEAR_PASSWORD_NOT_ENABLED: 'asks for the password in clear text over an unencrypted connection: turn TLS on',
  HANDSHAKE_SSL_ERROR: 'has a certificate that is not trusted, or for another host name: check the CA and the host of the database URL',
  HANDSHAKE_NO_SSL_SUPPORT: 'does not offer TLS: turn TLS on at the server',
  ER_SECURE_TRANSPORT_REQUIRED: 'demands TLS: turn TLS on for the database',
  PROTOCOL_SEQUENCE_TIMEOUT: 'did not answer in time: look at its load and its slow queries',
  ECONNREFUSED: 'refuses connections: check that it runs and that the host and port of the database URL are right',
  ENOTFOUND: 'has a host name that does not resolve: check the host of the database URL',
  EAI_AGAIN: 'has a host name that does not resolve now: check DNS',
  ETIMEDOUT: 'cannot be reached in time: check firewall, network policy and host of the database URL',
  ENOENT: 'has no socket there: check that it runs and that the socket path is right',
};

/** Codes after which it is known that the transaction had no effect. */
const ROLLED_BACK: ReadonlySet<string> = new Set(['ER_LOCK_DEADLOCK', 'ER_LOCK_WAIT_TIMEOUT', 'ER_CHECKREAD', 'ER_TOO_MANY_CONCURRENT_TRXS']);

const LOST: ReadonlySet<string> = new Set([
  'PROTOCOL_CONNECTION_LOST',
  'ECONNRESET',
  'EPIPE',
  'ECONNABORTED',
  'ER_CONNECTION_KILLED',
  'ER_QUERY_INTERRUPTED',
  'PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR',
  'ER_CLIENT_INTERACTION_TIMEOUT',
]);

/** A failure of mysql2 as a StoreError. The message has the server's own words only where these cannot hold a secret. */
export function toDatabaseError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const vendorCode = vendorCodeOf(error);
  const code = CODES[vendorCode] ?? (isFatal(error) ? 'unavailable' : 'invalid');
  const advice = ADVICE[vendorCode] ?? fallbackAdvice(code);
  return new StoreError({ code, vendorCode, message: `the database ${advice} (${vendorCode})`, cause: error });
}

/** True when the transaction surely had no effect, so that it can be run again whatever it does. */
export function isRolledBack(error: unknown): boolean {
  return error instanceof StoreError && error.vendorCode !== undefined && ROLLED_BACK.has(error.vendorCode);
}

/** True when the connection broke: a new one may well work, but whether a COMMIT took effect is unknown. */
export function isConnectionLost(error: unknown): boolean {
  return error instanceof StoreError && error.vendorCode !== undefined && LOST.has(error.vendorCode);
}

function vendorCodeOf(error: unknown): string {
  return errorCodeOf(error) ?? 'UNKNOWN';
}

function isFatal(error: unknown): boolean {
  return error instanceof Error && 'fatal' in error && error.fatal === true;
}

function fallbackAdvice(code: StoreErrorCode): string {
  switch (code) {
    case 'throttled':
      return 'had to choose between transactions; the call can be repeated';
    case 'unavailable':
      return 'broke the connection or cannot serve now; the call is repeated when it is back';
    case 'denied':
      return 'refuses the user: check the user of the database URL and its privileges on the schema';
    default:
      return 'refused a statement';
  }
}
