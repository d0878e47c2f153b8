import { connect as connectSocket, type Socket } from 'node:net';
import type { StoreError } from '@skiff/model/store-error';
import type { Secret } from '@skiff/runtime/secret';
import type { SslOptions } from 'mysql2';
import { type Connection, createConnection } from 'mysql2';
import { toDatabaseError } from './database-error.ts';
import type { DatabaseAddress } from './parse-database-url.ts';

export interface SqlResult {
  readonly rows: readonly unknown[];
  readonly affectedRows: bigint;
  readonly insertId: bigint;
}

export interface SqlConnectionProps {
  readonly address: DatabaseAddress;
  readonly password: Secret<string>;
  readonly ssl: SslOptions | undefined;
  readonly connectTimeoutMs: number;
  readonly queryTimeoutMs: number;
  /** The server ends a session that is silent for so long. `undefined`: as it is set. */
  readonly abandonedAfterMs: number | undefined;
  /** The password is a token, which the server asks for in clear text; only ever sent over TLS. */
  readonly clearText: boolean;
}

/**
 * One session with the server: READ COMMITTED, UTC, strict mode, utf8mb4 with binary comparison. BIGINTs arrive as strings,
 * so that none is rounded; DATETIMEs as Dates in UTC.
 */
export class SqlConnection {
  readonly #connection: Connection;
  readonly #socket: Socket;
  readonly #queryTimeoutMs: number;
  #broken = false;
  /** Ends the call under way. */
  #pending: (() => void) | undefined;

  private constructor(connection: Connection, socket: Socket, queryTimeoutMs: number) {
    this.#connection = connection;
    this.#socket = socket;
    this.#queryTimeoutMs = queryTimeoutMs;
  }

  /** @throws {StoreError} */
  static async open(props: SqlConnectionProps): Promise<SqlConnection> {
    const { address, ssl } = props;
    // Our own socket: mysql2 only ends its own politely, which a server that hangs never answers.
    const socket =
      address.socketPath === undefined
        ? connectSocket({ host: address.host, port: address.port, noDelay: true, keepAlive: true })
        : connectSocket(address.socketPath);
    socket.on('error', () => {
      // mysql2 hears it too, and passes it to the call under way.
    });
    const raw = createConnection({
      stream: socket,
      host: address.host,
      port: address.port,
      user: address.user,
      password: props.password.reveal(),
      database: address.schema,
      charset: 'utf8mb4_bin',
      timezone: 'Z',
      supportBigNumbers: true,
      bigNumberStrings: true,
      stringifyObjects: true,
      connectTimeout: props.connectTimeoutMs,
      enableCleartextPlugin: props.clearText && ssl !== undefined,
      // An UPDATE reports the rows it changed, not the rows it found: `INSERT … ON DUPLICATE KEY` tells new rows apart by it.
      flags: ['-FOUND_ROWS', '-LOCAL_FILES'],
      ...(ssl === undefined ? {} : { ssl }),
    });
    const connection = new SqlConnection(raw, socket, props.queryTimeoutMs);
    // Without a call under way the pool finds the connection broken; a call under way has the error itself.
    raw.on('error', () => {
      connection.#broken = true;
    });
    try {
      await new Promise<void>((resolve, reject) => raw.connect((error) => (error === null ? resolve() : reject(error))));
      await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED', []);
      await connection.query("SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_ZERO_DATE', innodb_lock_wait_timeout = 5", []);
      if (props.abandonedAfterMs !== undefined) await connection.query('SET SESSION wait_timeout = ?', [Math.ceil(props.abandonedAfterMs / 1000)]);
      return connection;
    } catch (error) {
      connection.destroy();
      throw toDatabaseError(error);
    }
  }

  get broken(): boolean {
    return this.#broken;
  }

  /** @throws {StoreError} A call that times out, or that the server cannot serve now, breaks the connection: its state is unknown. */
  query(sql: string, parameters: readonly unknown[]): Promise<SqlResult> {
    return new Promise((resolve, reject) => {
      const settle = (error: StoreError | undefined, result: unknown) => {
        clearTimeout(timer);
        this.#pending = undefined;
        if (error === undefined) return resolve(toResult(result));
        reject(error);
        if (error.code === 'unavailable') this.destroy();
      };
      // Own timer and own end: mysql2 leaves both the timer and the callback of a call hanging when its connection goes.
      const timer = setTimeout(() => settle(brokenOff('PROTOCOL_SEQUENCE_TIMEOUT'), undefined), this.#queryTimeoutMs);
      this.#pending = () => settle(brokenOff('PROTOCOL_CONNECTION_LOST'), undefined);
      this.#connection.query({ sql, values: [...parameters] }, (error, result: unknown) => {
        settle(error === null ? undefined : toDatabaseError(error), result);
      });
    });
  }

  destroy(): void {
    this.#broken = true;
    this.#connection.destroy();
    this.#socket.destroy();
    this.#pending?.();
  }
}

function brokenOff(code: string): StoreError {
  return toDatabaseError(Object.assign(new Error(code), { code }));
}

function toResult(result: unknown): SqlResult {
  if (Array.isArray(result)) return { rows: result, affectedRows: 0n, insertId: 0n };
  return { rows: [], affectedRows: numberIn(result, 'affectedRows'), insertId: numberIn(result, 'insertId') };
}

function numberIn(result: unknown, key: string): bigint {
  if (typeof result !== 'object' || result === null) return 0n;
  const value: unknown = Reflect.get(result, key);
  return typeof value === 'number' || typeof value === 'string' ? BigInt(value) : 0n;
}
