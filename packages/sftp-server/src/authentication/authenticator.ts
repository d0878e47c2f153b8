import type { UserRow } from '@skiff/model/resource-rows';
import { type Credential, decideLogin, type EndpointFacts, type LoginDecision, type LoginDenialReason } from '@skiff/policy/login-decision';
import { SourceRangeError } from '@skiff/policy/source-ranges';
import type { Clock } from '@skiff/runtime/clock';
import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import type { Identity } from './identity.ts';

export interface LoginAttempt {
  readonly username: string;
  readonly remoteAddress: string;
  readonly credential:
    | { readonly method: 'PublicKey'; readonly keyBlob: string; readonly fingerprint: string; readonly proven: boolean }
    | { readonly method: 'Password'; readonly password: Secret<string> };
}

/** Where users are looked up; `isFresh` is false once its answers must not be trusted any more. */
export interface UserLookup {
  readonly isFresh: boolean;
  find(username: string): UserRow | undefined;
}

/** Checks a password against a hash; without a hash it works as long and says no. */
export type VerifyPassword = (hash: string | null, password: Secret<string>) => Promise<boolean>;

export interface AuthenticatorProps {
  readonly users: UserLookup;
  readonly verifyPassword: VerifyPassword;
  readonly endpoint: () => EndpointFacts;
  readonly clock: Clock;
  readonly logger: Logger;
}

export type LoginDenial = LoginDenialReason | 'DatabaseUnavailable' | 'InvalidSourceRange';

export type LoginResult = { readonly kind: 'accepted'; readonly identity: Identity } | { readonly kind: 'denied'; readonly reason: LoginDenial };

/** Decides logins, and judges live sessions again, by the same chain of `policy`. Says why in the log, never to the client. */
export class Authenticator {
  readonly #props: AuthenticatorProps;

  constructor(props: AuthenticatorProps) {
    this.#props = props;
  }

  async authenticate(attempt: LoginAttempt): Promise<LoginResult> {
    const { users, logger } = this.#props;
    if (!users.isFresh) {
      logger.warn({ user: attempt.username, clientAddress: attempt.remoteAddress, reason: 'DatabaseUnavailable' }, 'login refused');
      return { kind: 'denied', reason: 'DatabaseUnavailable' };
    }
    const user = users.find(attempt.username);
    const credential = await this.#credentialOf(user, attempt);
    const decision = this.#decide(user, credential, attempt.remoteAddress);
    const fields = { user: attempt.username, clientAddress: attempt.remoteAddress, method: credential.method };
    if (!decision.allowed || user === undefined) {
      const { reason, message } = decision.allowed ? { reason: 'UnknownUser' as const, message: 'no such user' } : decision;
      // Clients offer their keys one after the other: that one of them is unknown is no news until all have failed.
      const quiet = attempt.credential.method === 'PublicKey' && !attempt.credential.proven;
      logger[quiet ? 'debug' : 'info']({ ...fields, reason, detail: message, ...fingerprintOf(attempt) }, 'login refused');
      return { kind: 'denied', reason };
    }
    const { credentialName, validUntil } = decision;
    return { kind: 'accepted', identity: { username: user.username, credential, credentialName, validUntil, user } };
  }

  /** Why a live session may not go on, if so. */
  judge(identity: Identity, remoteAddress: string): LoginDenial | undefined {
    const { users } = this.#props;
    if (!users.isFresh) return undefined;
    const decision = this.#decide(users.find(identity.username), identity.credential, remoteAddress);
    return decision.allowed ? undefined : decision.reason;
  }

  async #credentialOf(user: UserRow | undefined, attempt: LoginAttempt): Promise<Credential> {
    if (attempt.credential.method === 'PublicKey') return { method: 'PublicKey', keyBlob: attempt.credential.keyBlob };
    const hash = user?.passwordHash ?? null;
    const verified = await this.#props.verifyPassword(hash, attempt.credential.password);
    return { method: 'Password', verifiedHash: verified ? hash : null };
  }

  #decide(user: UserRow | undefined, credential: Credential, remoteAddress: string): LoginDecision | { allowed: false; reason: LoginDenial; message: string } {
    try {
      return decideLogin(user, { ...credential, remoteAddress, now: this.#props.clock.now() }, this.#props.endpoint());
    } catch (error) {
      if (!(error instanceof SourceRangeError)) throw error;
      return { allowed: false, reason: 'InvalidSourceRange', message: error.message };
    }
  }
}

function fingerprintOf(attempt: LoginAttempt): { readonly fingerprint?: string } {
  return attempt.credential.method === 'PublicKey' ? { fingerprint: attempt.credential.fingerprint } : {};
}
