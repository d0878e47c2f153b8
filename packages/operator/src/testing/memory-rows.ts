import type { EndpointRow, RowStep } from '@skiff/database/resource-rows';
import { objectKey } from '@skiff/model/object-meta';
import type { RouteRow, UserRow } from '@skiff/model/resource-rows';
import { StoreError } from '@skiff/model/store-error';
import type { RowRepository } from '../reconcile/reconcile-context.ts';

/** Rows in memory, with a count of what is written and a switch that takes the database away. */
export class MemoryRows implements RowRepository {
  away = false;
  /** Rows written or deleted, not transactions. */
  writes = 0;
  readonly #endpoints: EndpointRow[] = [];
  readonly #users = new Map<number, Map<string, UserRow>>();
  readonly #routes = new Map<number, Map<string, RouteRow>>();

  async endpoints(): Promise<readonly EndpointRow[]> {
    await this.#roundTrip();
    return this.#endpoints;
  }

  async endpointId(namespace: string, name: string): Promise<number> {
    await this.#roundTrip();
    const known = this.#endpoints.find((row) => objectKey(row) === objectKey({ namespace, name }));
    if (known !== undefined) return known.id;
    const id = this.#endpoints.length + 1;
    this.#endpoints.push({ id, namespace, name });
    return id;
  }

  async users(endpointId: number): Promise<readonly UserRow[]> {
    await this.#roundTrip();
    return [...(this.#users.get(endpointId)?.values() ?? [])];
  }

  async applyUsers(endpointId: number, steps: readonly RowStep<UserRow, string>[]): Promise<void> {
    await this.#roundTrip();
    this.#users.set(
      endpointId,
      this.#applied(this.#users.get(endpointId), steps, (row) => row.username),
    );
  }

  async routes(endpointId: number): Promise<readonly RouteRow[]> {
    await this.#roundTrip();
    return [...(this.#routes.get(endpointId)?.values() ?? [])];
  }

  async applyRoutes(endpointId: number, steps: readonly RowStep<RouteRow, string>[]): Promise<void> {
    await this.#roundTrip();
    this.#routes.set(endpointId, this.#applied(this.#routes.get(endpointId), steps, objectKey));
  }

  async #roundTrip(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.away) throw new StoreError({ code: 'unavailable', message: 'connection refused' });
  }

  #applied<Row>(rows: ReadonlyMap<string, Row> | undefined, steps: readonly RowStep<Row, string>[], keyOf: (row: Row) => string): Map<string, Row> {
    const next = new Map(rows);
    for (const step of steps) {
      this.writes += 1;
      if (step.kind === 'delete') next.delete(step.key);
      else next.set(keyOf(step.row), structuredClone(step.row));
    }
    return next;
  }
}
