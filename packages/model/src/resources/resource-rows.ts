import type { PermissionRule } from '../permission.ts';
import type { EventRouteSpec } from './event-route.ts';
import type { RoutedTarget } from './route-secrets.ts';

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
  readonly targets: readonly RoutedTarget[];
}
