import type { RouteRow, UserRow } from '@skiff/model/resource-rows';

export type { AuthorizedKeyRow, RouteRow, UserRow } from '@skiff/model/resource-rows';

/** One change of an endpoint's rows; `deleted` rows stay as tombstones so that readers see them go. */
export type RowStep<Row, Key> = { readonly kind: 'put'; readonly row: Row } | { readonly kind: 'delete'; readonly key: Key };

export interface Changes<Row, Key> {
  /** Ask again from here. */
  readonly revision: bigint;
  readonly changed: readonly Row[];
  readonly deleted: readonly Key[];
}

export interface EndpointRow {
  readonly id: number;
  readonly namespace: string;
  readonly name: string;
}

/** Users and routes of all endpoints. Every write bumps the endpoint's revision in the same transaction. */
export interface ResourceRepository {
  /** The endpoint's number in the database; made on first use. */
  endpointId(namespace: string, name: string): Promise<number>;
  /** Every endpoint that has a number, also those whose object is gone: their rows are still to be removed. */
  endpoints(): Promise<readonly EndpointRow[]>;
  users(endpointId: number): Promise<readonly UserRow[]>;
  applyUsers(endpointId: number, steps: readonly RowStep<UserRow, string>[]): Promise<void>;
  /**
   * Users newer than `since` (0: all); keys of deleted ones are usernames. Fails with `conflict` when `since` is older than the
   * tombstones reach back or newer than the database (restored from a backup): forget everything and read again from 0.
   */
  usersSince(endpointId: number, since: bigint): Promise<Changes<UserRow, string>>;
  findUser(endpointId: number, username: string): Promise<UserRow | undefined>;
  routes(endpointId: number): Promise<readonly RouteRow[]>;
  applyRoutes(endpointId: number, steps: readonly RowStep<RouteRow, string>[]): Promise<void>;
  /** Keys of deleted routes are `namespace/name`. */
  routesSince(endpointId: number, since: bigint): Promise<Changes<RouteRow, string>>;
  /** Cheap: one indexed read per poll. */
  revision(endpointId: number): Promise<bigint>;
}
