import { StoreError } from '@skiff/model/store-error';
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  MysqlAdapter,
  MysqlIntrospector,
  MysqlQueryCompiler,
  type QueryResult,
} from 'kysely';
import type { ConnectionPool } from './connection-pool.ts';
import type { SqlConnection } from './sql-connection.ts';

/** Kysely on top of our own pool, because mysql2's has no way to ask for a fresh password per connection, nor a wait limit. */
export function poolDialect(pool: ConnectionPool): Dialect {
  return {
    createAdapter: () => new MysqlAdapter(),
    createDriver: () => new PoolDriver(pool),
    createIntrospector: (db) => new MysqlIntrospector(db),
    createQueryCompiler: () => new MysqlQueryCompiler(),
  };
}

class PoolDriver implements Driver {
  readonly #pool: ConnectionPool;

  constructor(pool: ConnectionPool) {
    this.#pool = pool;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<PooledConnection> {
    return new PooledConnection(await this.#pool.acquire());
  }

  async beginTransaction(connection: PooledConnection): Promise<void> {
    await connection.session.query('START TRANSACTION', []);
  }

  async commitTransaction(connection: PooledConnection): Promise<void> {
    await connection.session.query('COMMIT', []);
  }

  async rollbackTransaction(connection: PooledConnection): Promise<void> {
    // A broken connection is rolled back by the server; the error that broke it is what the caller must see.
    if (connection.session.broken) return;
    try {
      await connection.session.query('ROLLBACK', []);
    } catch {
      connection.session.destroy();
    }
  }

  async releaseConnection(connection: PooledConnection): Promise<void> {
    this.#pool.release(connection.session);
  }

  /** The pool is closed by its owner. */
  async destroy(): Promise<void> {}
}

class PooledConnection implements DatabaseConnection {
  readonly session: SqlConnection;

  constructor(session: SqlConnection) {
    this.session = session;
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    const result = await this.session.query(query.sql, query.parameters);
    return {
      rows: result.rows as Row[],
      numAffectedRows: result.affectedRows,
      ...(result.insertId === 0n ? {} : { insertId: result.insertId }),
    };
  }

  streamQuery<Row>(): AsyncIterableIterator<QueryResult<Row>> {
    throw new StoreError({ code: 'unsupported', message: 'the database adapter does not stream' });
  }
}
