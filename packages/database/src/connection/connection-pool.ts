import { StoreError } from '@skiff/model/store-error';
import type { SqlConnection } from './sql-connection.ts';

export interface ConnectionPoolProps {
  /** Opens a connection that is ready for use. Rejects with a StoreError. */
  readonly open: () => Promise<SqlConnection>;
  /** Most connections open at once. */
  readonly size: number;
  /** Longest wait for a free connection. */
  readonly acquireTimeoutMs: number;
  /** Idle connections are closed after this; a load balancer in between may forget them otherwise. */
  readonly maxIdleMs: number;
}

/** Callers that may wait for a connection, per connection; above it calls fail at once. */
const MAX_WAITING_PER_CONNECTION = 200;

interface Waiter {
  readonly resolve: (connection: SqlConnection) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

/** A bounded pool: the connection used last is given out first, broken ones are never given out again. */
export class ConnectionPool {
  readonly #props: ConnectionPoolProps;
  readonly #idle: { readonly connection: SqlConnection; readonly timer: NodeJS.Timeout }[] = [];
  readonly #waiters: Waiter[] = [];
  readonly #all = new Set<SqlConnection>();
  #opening = 0;
  #closed = false;
  #drained: (() => void) | undefined;

  constructor(props: ConnectionPoolProps) {
    this.#props = props;
  }

  /** @throws {StoreError} `unavailable` when none becomes free in time, or whatever opening one fails with. */
  acquire(): Promise<SqlConnection> {
    if (this.#closed) return Promise.reject(unavailable('POOL_CLOSED', 'the connection to the database was closed; the process is ending'));
    for (let entry = this.#idle.pop(); entry !== undefined; entry = this.#idle.pop()) {
      clearTimeout(entry.timer);
      if (!entry.connection.broken) return Promise.resolve(entry.connection);
      this.#discard(entry.connection);
    }
    const { size, acquireTimeoutMs } = this.#props;
    if (this.#waiters.length >= size * MAX_WAITING_PER_CONNECTION) {
      return Promise.reject(unavailable('POOL_QUEUE_FULL', `too many calls wait for one of ${size} connections to the database: raise the pool size`));
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(
          unavailable(
            'POOL_TIMEOUT',
            `none of ${size} connections to the database became free in ${acquireTimeoutMs} ms: look at its load, or raise the pool size`,
          ),
        );
      }, acquireTimeoutMs);
      const waiter = { resolve, reject, timer };
      this.#waiters.push(waiter);
      this.#grow();
    });
  }

  release(connection: SqlConnection): void {
    if (connection.broken || this.#closed) {
      this.#discard(connection);
      this.#grow();
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      clearTimeout(waiter.timer);
      waiter.resolve(connection);
      return;
    }
    const timer = setTimeout(() => {
      this.#idle.splice(this.#idle.indexOf(entry), 1);
      this.#discard(connection);
    }, this.#props.maxIdleMs);
    timer.unref();
    const entry = { connection, timer };
    this.#idle.push(entry);
  }

  /** Refuses new callers, waits for those under way, closes all connections. After `patienceMs` it cuts them off. */
  async close(patienceMs: number): Promise<void> {
    this.#closed = true;
    for (const waiter of this.#waiters.splice(0)) {
      clearTimeout(waiter.timer);
      waiter.reject(unavailable('POOL_CLOSED', 'the connection to the database was closed; the process is ending'));
    }
    for (const entry of this.#idle.splice(0)) {
      clearTimeout(entry.timer);
      this.#discard(entry.connection);
    }
    if (this.#all.size + this.#opening === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, patienceMs);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    for (const connection of this.#all) connection.destroy();
  }

  #grow(): void {
    if (this.#waiters.length <= this.#opening || this.#all.size + this.#opening >= this.#props.size || this.#closed) return;
    this.#opening++;
    this.#props.open().then(
      (connection) => {
        this.#opening--;
        this.#all.add(connection);
        this.release(connection);
      },
      (error: unknown) => {
        this.#opening--;
        const waiter = this.#waiters.shift();
        if (waiter !== undefined) {
          clearTimeout(waiter.timer);
          waiter.reject(error);
        }
        this.#afterLoss();
        this.#grow();
      },
    );
  }

  #discard(connection: SqlConnection): void {
    this.#all.delete(connection);
    connection.destroy();
    this.#afterLoss();
  }

  #afterLoss(): void {
    if (this.#all.size + this.#opening === 0) this.#drained?.();
  }
}

function unavailable(vendorCode: string, message: string): StoreError {
  return new StoreError({ code: 'unavailable', vendorCode, message });
}
