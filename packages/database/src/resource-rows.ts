import type { EventRouteSpec } from '@skiff/model/event-route';
import type { PermissionRule } from '@skiff/model/permission';

/** A user as the SFTP server needs it. Written by the operator, read by the servers. */
export interface UserRow {
  readonly username: string;
  /** Object that the user comes from, for messages and ownership. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly suspended: boolean;
  /** RFC 3339, or null. */
  readonly expiresAt: string | null;
  readonly authorizedKeys: readonly AuthorizedKeyRow[];
  /** PHC string of the password's hash. */
  readonly passwordHash: string | null;
  /** `null`: the endpoint's ranges hold. Empty: nobody. */
  readonly allowedSourceRanges: readonly string[] | null;
  readonly home: string;
  readonly permissions: readonly PermissionRule[] | null;
}

export interface AuthorizedKeyRow {
  readonly name: string;
  /** SSH wire form of the key, base64. */
  readonly blob: string;
  readonly expiresAt: string | null;
}

export interface RouteRow {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly match: EventRouteSpec['match'] | null;
  readonly targets: EventRouteSpec['targets'];
}

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
  /** Users newer than `since` (0: all); keys of deleted ones are usernames. */
  usersSince(endpointId: number, since: bigint): Promise<Changes<UserRow, string>>;
  findUser(endpointId: number, username: string): Promise<UserRow | undefined>;
  routes(endpointId: number): Promise<readonly RouteRow[]>;
  applyRoutes(endpointId: number, steps: readonly RowStep<RouteRow, string>[]): Promise<void>;
  /** Keys of deleted routes are `namespace/name`. */
  routesSince(endpointId: number, since: bigint): Promise<Changes<RouteRow, string>>;
  /** Cheap: one indexed read per poll. */
  revision(endpointId: number): Promise<bigint>;
}
