import { objectKey } from '@skiff/model/object-meta';
import type { UserRow } from '@skiff/model/resource-rows';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { SftpUser } from '@skiff/model/sftp-user';
import type { NamespaceLabels } from './admitted-namespaces.ts';
import { unjudgedRanges } from './client-address.ts';
import type { Obstacle, Verdict } from './complete-conditions.ts';
import { byAge, endpointKeyOf, notAllowedByEndpoint } from './endpoint-ref.ts';
import { type PasswordHashes, type ReadPublicKey, resolvePassword } from './user-credentials.ts';
import { checkHome, checkPermissions, readKeys, readSourceRanges } from './user-spec.ts';

export interface UserTranslationInput {
  readonly endpoint: SftpEndpoint;
  /** All users; those of other endpoints are left out of the answer. */
  readonly users: readonly SftpUser[];
  readonly readPublicKey: ReadPublicKey;
  readonly passwords: PasswordHashes;
  /** Absent: a namespace is known by its name alone. */
  readonly namespaceLabels?: NamespaceLabels | undefined;
  readonly now: Date;
}

export interface TranslatedUser {
  readonly user: SftpUser;
  /** What to write; undefined: nothing of this object is in force, and a row that it had goes. */
  readonly row: UserRow | undefined;
  readonly verdict: Verdict;
}

export interface TranslatedUsers {
  readonly users: readonly TranslatedUser[];
  /** When the answer changes by time alone: the next expiry. */
  readonly revisitAt: Date | null;
}

/**
 * The rows of an endpoint's users and what to tell their owners. Pure. A wrong key or range is left out, which never widens what the
 * user may do, and the rest stays in force; a wrong home, wrong permissions, a username that is taken or a foreign namespace leave no row.
 */
export function translateUsers(input: UserTranslationInput): TranslatedUsers {
  const { endpoint, now } = input;
  const candidates = input.users
    .filter((user) => endpointKeyOf(user) === objectKey(endpoint.metadata) && user.metadata.deletionTimestamp === undefined)
    .toSorted(byAge);
  const holders = new Map<string, SftpUser>();
  const users = candidates.map((user) => {
    const foreign = notAllowedByEndpoint(user, endpoint, input.namespaceLabels);
    if (foreign !== undefined) return withoutRow(user, foreign);
    const holder = holders.get(user.spec.username);
    if (holder !== undefined) return withoutRow(user, usernameConflict(user, holder));
    holders.set(user.spec.username, user);
    return translateUser(input, user);
  });
  const expiries = users.flatMap(({ row }) => [row?.expiresAt, ...(row?.authorizedKeys ?? []).map((key) => key.expiresAt)]);
  const next = Math.min(...expiries.map((time) => Date.parse(time ?? '')).filter((time) => time > now.getTime()));
  return { users, revisitAt: Number.isFinite(next) ? new Date(next) : null };
}

function usernameConflict(user: SftpUser, holder: SftpUser): Obstacle {
  const message = `the username ${user.spec.username} belongs to SftpUser ${objectKey(holder.metadata)}, which is older: choose another username, or delete one of the two`;
  return { reason: 'UsernameConflict', message };
}

function withoutRow(user: SftpUser, refused: Obstacle, unresolved?: Obstacle): TranslatedUser {
  return { user, row: undefined, verdict: { observedGeneration: user.metadata.generation, refused, unresolved, notReady: undefined, inForce: false } };
}

function translateUser(input: UserTranslationInput, user: SftpUser): TranslatedUser {
  const { spec, metadata } = user;
  const keys = readKeys(spec, input.readPublicKey);
  const ranges = readSourceRanges(spec);
  const fatal = [...checkHome(spec, input.endpoint), ...checkPermissions(spec)];
  const password = resolvePassword(user, input.passwords);
  const errors = [...fatal, ...keys.errors, ...ranges.errors];
  const refused: Obstacle | undefined = errors.length === 0 ? undefined : { reason: 'Invalid', message: errors.join('; ') };
  if (refused !== undefined && fatal.length > 0) return withoutRow(user, refused, password.obstacle);
  const row: UserRow = {
    username: spec.username,
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    suspended: spec.suspend ?? false,
    expiresAt: spec.expiresAt ?? null,
    authorizedKeys: keys.keys,
    passwordHash: password.hash,
    allowedSourceRanges: ranges.ranges,
    home: spec.home ?? spec.username,
    permissions: spec.permissions ?? null,
  };
  const addressHidden = unjudgedRanges(spec, input.endpoint);
  const notReady = suspended(row) ?? expired(row, input.now) ?? withoutCredentials(row, input);
  return { user, row, verdict: { observedGeneration: metadata.generation, refused, unresolved: password.obstacle, notReady, inForce: true, addressHidden } };
}

function suspended(row: UserRow): Obstacle | undefined {
  return row.suspended ? { reason: 'Suspended', message: 'logins are refused: spec.suspend is true' } : undefined;
}

function isOver(time: string | null, now: Date): boolean {
  return time !== null && Date.parse(time) <= now.getTime();
}

function expired(row: UserRow, now: Date): Obstacle | undefined {
  return isOver(row.expiresAt, now) ? { reason: 'Expired', message: `logins are refused: spec.expiresAt was ${row.expiresAt}` } : undefined;
}

function withoutCredentials(row: UserRow, { endpoint, now }: UserTranslationInput): Obstacle | undefined {
  const methods = endpoint.spec.authentication?.methods ?? ['PublicKey', 'Password'];
  const byKey = methods.includes('PublicKey') && row.authorizedKeys.some((key) => !isOver(key.expiresAt, now));
  const byPassword = methods.includes('Password') && row.passwordHash !== null;
  if (byKey || byPassword) return undefined;
  const message = `nobody can log in: there is no credential in force for what the endpoint offers (${methods.join(', ')}); add to spec.authorizedKeys or set spec.password`;
  return { reason: 'NoCredentials', message };
}
