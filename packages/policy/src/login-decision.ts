import type { UserRow } from '@skiff/model/resource-rows';
import { toSourceRanges } from './source-ranges.ts';

export type AuthenticationMethod = 'PublicKey' | 'Password';

/** What a login is judged by; a row of the database has it all. */
export type UserFacts = Pick<UserRow, 'suspended' | 'expiresAt' | 'authorizedKeys' | 'passwordHash' | 'allowedSourceRanges'>;

export interface EndpointFacts {
  readonly authenticationMethods: readonly AuthenticationMethod[];
  /** `Rewritten`: connections show the address of a firewall, which admits sources itself. Default: Preserved. */
  readonly clientAddress?: 'Preserved' | 'Rewritten' | undefined;
  /** For users without ranges of their own, and for all where addresses are rewritten. `null`: every address. Empty: none. */
  readonly allowedSourceRanges: readonly string[] | null;
}

/**
 * The credential of an attempt, and what a live session remembers of its own.
 * - `keyBlob`: the key offered (SSH wire form, base64). That the client owns it, the caller verifies by the signature.
 * - `verifiedHash`: the hash that the password was verified against; `null` when it did not match. A session whose user has
 *   another hash by now is denied: the password was changed.
 */
export type Credential = { readonly method: 'PublicKey'; readonly keyBlob: string } | { readonly method: 'Password'; readonly verifiedHash: string | null };

export type LoginAttempt = Credential & { readonly remoteAddress: string; readonly now: Date };

export type LoginDenialReason =
  | 'UnknownUser'
  | 'Suspended'
  | 'Expired'
  | 'AddressNotAllowed'
  | 'MethodNotOffered'
  | 'KeyUnknown'
  | 'KeyExpired'
  | 'PasswordMissing'
  | 'PasswordWrong';

export type LoginDecision =
  /** `credentialName`: the key's name, or `password`. `validUntil`: when the first of user and key expires. */
  | { readonly allowed: true; readonly credentialName: string; readonly validUntil: Date | null }
  /** `message` is for the log and the service desk, never for the client. */
  | { readonly allowed: false; readonly reason: LoginDenialReason; readonly message: string };

interface Facts {
  readonly user: UserFacts;
  readonly attempt: LoginAttempt;
  readonly endpoint: EndpointFacts;
}

type Denial = Extract<LoginDecision, { allowed: false }>;
type Predicate = (facts: Facts) => Denial | undefined;

/**
 * May this user log in, or stay logged in, by this credential, from this address, now? The same chain judges logins and, after
 * each change of a row, live sessions. Facts about the user come before the credential, so that the log names the deeper reason.
 *
 * @throws {SourceRangeError} when a stored range is damaged: the caller denies.
 */
export function decideLogin(user: UserFacts | undefined, attempt: LoginAttempt, endpoint: EndpointFacts): LoginDecision {
  if (user === undefined) return deny('UnknownUser', 'no such user at this endpoint');
  const facts = { user, attempt, endpoint };
  for (const predicate of PREDICATES) {
    const denial = predicate(facts);
    if (denial !== undefined) return denial;
  }
  const key = keyOf(facts);
  const ends = [user.expiresAt, key?.expiresAt ?? null].filter((time) => time !== null).map((time) => Date.parse(time));
  return { allowed: true, credentialName: key?.name ?? 'password', validUntil: ends.length === 0 ? null : new Date(Math.min(...ends)) };
}

const suspended: Predicate = ({ user }) => (user.suspended ? deny('Suspended', 'the user is suspended') : undefined);

const expired: Predicate = ({ user, attempt }) => (isOver(user.expiresAt, attempt.now) ? deny('Expired', `the user expired at ${user.expiresAt}`) : undefined);

const addressNotAllowed: Predicate = (facts) => {
  const { user, attempt, endpoint } = facts;
  if (endpoint.clientAddress === 'Rewritten') return notThroughFirewall(facts);
  const ranges = user.allowedSourceRanges ?? endpoint.allowedSourceRanges;
  if (ranges === null || toSourceRanges(ranges).includes(attempt.remoteAddress)) return undefined;
  const whose = user.allowedSourceRanges === null ? "the endpoint's" : "the user's";
  return deny('AddressNotAllowed', `${attempt.remoteAddress} is not in ${whose} allowedSourceRanges`);
};

/**
 * The address is the firewall's. The user's ranges are its to enforce, so they are waived for what provably came through it, and for
 * nothing else (docs/decisions/0005-ranges-behind-a-firewall.md).
 */
function notThroughFirewall({ user, attempt, endpoint }: Facts): Denial | undefined {
  if (user.allowedSourceRanges?.length === 0) return deny('AddressNotAllowed', "the user's allowedSourceRanges is empty");
  const firewall = endpoint.allowedSourceRanges ?? [];
  if (toSourceRanges(firewall).includes(attempt.remoteAddress)) return undefined;
  return deny('AddressNotAllowed', `${attempt.remoteAddress} is not in the endpoint's allowedSourceRanges, which name the firewall (clientAddress: Rewritten)`);
}

const methodNotOffered: Predicate = ({ attempt, endpoint }) =>
  endpoint.authenticationMethods.includes(attempt.method) ? undefined : deny('MethodNotOffered', `the endpoint does not offer ${attempt.method}`);

const keyUnknown: Predicate = (facts) =>
  facts.attempt.method === 'PublicKey' && keyOf(facts) === undefined ? deny('KeyUnknown', "the key is none of the user's") : undefined;

const keyExpired: Predicate = (facts) => {
  const key = keyOf(facts);
  return key !== undefined && isOver(key.expiresAt, facts.attempt.now) ? deny('KeyExpired', `the key ${key.name} expired at ${key.expiresAt}`) : undefined;
};

const passwordMissing: Predicate = ({ user, attempt }) =>
  attempt.method === 'Password' && user.passwordHash === null ? deny('PasswordMissing', 'the user has no password') : undefined;

const passwordWrong: Predicate = ({ user, attempt }) =>
  attempt.method === 'Password' && attempt.verifiedHash !== user.passwordHash ? deny('PasswordWrong', 'the password is wrong or was changed') : undefined;

const PREDICATES: readonly Predicate[] = [suspended, expired, addressNotAllowed, methodNotOffered, keyUnknown, keyExpired, passwordMissing, passwordWrong];

/** The same key may be listed twice under two names: the one that holds longest counts. */
function keyOf({ user, attempt }: Facts): UserFacts['authorizedKeys'][number] | undefined {
  if (attempt.method !== 'PublicKey') return undefined;
  return user.authorizedKeys.filter((key) => key.blob === attempt.keyBlob).toSorted((left, right) => endOf(right.expiresAt) - endOf(left.expiresAt))[0];
}

function endOf(time: string | null): number {
  return time === null ? Number.MAX_VALUE : Date.parse(time);
}

/** A time that cannot be read counts as over. */
function isOver(time: string | null, now: Date): boolean {
  return time !== null && !(now.getTime() < Date.parse(time));
}

function deny(reason: LoginDenialReason, message: string): Denial {
  return { allowed: false, reason, message };
}
