import type { ResourceRepository } from '@skiff/database/resource-rows';
import { objectKey } from '@skiff/model/object-meta';
import type { RouteRow } from '@skiff/model/resource-rows';
import { GlobError, parseGlob } from '@skiff/policy/glob';
import { compileRouteExpression, RouteExpressionError } from '@skiff/policy/route-expression';
import { pause } from '@skiff/runtime/abort';
import type { Logger } from '@skiff/runtime/logger';

export interface RouteTableProps {
  readonly resources: Pick<ResourceRepository, 'routesSince'>;
  readonly endpointId: number;
  readonly logger: Logger;
  /** Default: 1,000. */
  readonly pollMs?: number;
}

/** The routes in force, as the database has them. */
export interface RouteTable {
  /** Begins to poll; resolves when the routes were read for the first time, however long the database is away. Rejects when stopped before. */
  start(): Promise<void>;
  stop(): Promise<void>;
  current(): readonly RouteRow[];
  /** Reads now. Rejects when the database does not answer. */
  refresh(): Promise<void>;
  /** Called after each change, and once for the first read. */
  onChange(listener: (routes: readonly RouteRow[]) => void): void;
}

const MAX_PAUSE_MS = 5000;

/** Polls the database for what is newer than what it has. While the database is away, the last known routes stay in force. */
export function createRouteTable(props: RouteTableProps): RouteTable {
  return new PollingRouteTable(props);
}

class PollingRouteTable implements RouteTable {
  readonly #props: RouteTableProps;
  readonly #routes = new Map<string, RouteRow>();
  readonly #listeners: ((routes: readonly RouteRow[]) => void)[] = [];
  readonly #stop = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  #snapshot: readonly RouteRow[] = [];
  #revision = 0n;
  #loaded = false;
  #reading: Promise<void> = Promise.resolve();
  #polling: Promise<void> | undefined;

  constructor(props: RouteTableProps) {
    this.#props = props;
    // Nobody need have called start() when the table is stopped.
    this.#first.promise.catch(() => {});
  }

  start(): Promise<void> {
    this.#polling ??= this.#poll();
    return this.#first.promise;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#first.reject(new Error('the route table was stopped'));
    await this.#polling;
  }

  current(): readonly RouteRow[] {
    return this.#snapshot;
  }

  refresh(): Promise<void> {
    // One after the other: a read that began earlier may have missed what the caller asks about.
    const reading = this.#reading.then(() => this.#read());
    this.#reading = reading.catch(() => undefined);
    return reading;
  }

  onChange(listener: (routes: readonly RouteRow[]) => void): void {
    this.#listeners.push(listener);
  }

  async #poll(): Promise<void> {
    const { pollMs = 1000, logger } = this.#props;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      try {
        await this.refresh();
        if (failures > 0) logger.info({ failures }, 'routes can be read again');
        failures = 0;
      } catch (error) {
        if (failures++ === 0) logger.warn({ err: error }, 'routes cannot be read; the last known stay in force');
      }
      await pause(Math.min(pollMs * 2 ** Math.min(failures, 5), Math.max(pollMs, MAX_PAUSE_MS)), this.#stop.signal);
    }
  }

  async #read(): Promise<void> {
    const { resources, endpointId, logger } = this.#props;
    const changes = await resources.routesSince(endpointId, this.#revision);
    if (this.#stop.signal.aborted) return;
    this.#revision = changes.revision;
    for (const key of changes.deleted) this.#routes.delete(key);
    for (const row of changes.changed) this.#routes.set(objectKey(row), row);
    if (this.#loaded && changes.changed.length === 0 && changes.deleted.length === 0) return;
    this.#loaded = true;
    this.#snapshot = [...this.#routes.values()].filter((row) => this.#isSound(row));
    logger.info({ routes: this.#snapshot.length, revision: String(changes.revision) }, 'routes in force changed');
    for (const listener of this.#listeners) listener(this.#snapshot);
    this.#first.resolve();
  }

  /** One damaged route must not stop the others. */
  #isSound(row: RouteRow): boolean {
    try {
      for (const path of row.match?.paths ?? []) parseGlob(path);
      if (row.match?.expression !== undefined) compileRouteExpression(row.match.expression);
      return true;
    } catch (error) {
      if (!(error instanceof GlobError || error instanceof RouteExpressionError)) throw error;
      this.#props.logger.error({ err: error, route: objectKey(row) }, 'route left out: its conditions cannot be read');
      return false;
    }
  }
}
