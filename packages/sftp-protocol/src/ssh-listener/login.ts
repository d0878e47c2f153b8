import { Secret } from '@skiff/runtime/secret';
import type { AuthContext } from 'ssh2';
import type { LoginAttempt, LoginDecision, LoginMethod } from './ssh-listener.ts';
import { readUserKey, requestedAlgorithm } from './user-key.ts';

/** Hashes take time in proportion; no one types more. */
const MAX_PASSWORD_BYTES = 1024;
const MAX_USERNAME_BYTES = 256;
/** Accepted key queries and `none` are not failures, but they must end some time. */
const MAX_REQUESTS = 64;

export interface LoginOptions<Identity> {
  readonly methods: readonly LoginMethod[];
  readonly maxTries: number;
  readonly remoteAddress: string;
  readonly signal: AbortSignal;
  readonly authenticate: (attempt: LoginAttempt) => Promise<LoginDecision<Identity>>;
}

/** What became of one request. */
export type LoginOutcome<Identity> =
  | { readonly kind: 'loggedIn'; readonly identity: Identity }
  | { readonly kind: 'answered' }
  | { readonly kind: 'exhausted' };

/** The login of one connection: one request at a time, in the order of the client; the identity is that of the accepted one alone. */
export class Login<Identity> {
  readonly #options: LoginOptions<Identity>;
  #failures = 0;
  #requests = 0;

  constructor(options: LoginOptions<Identity>) {
    this.#options = options;
  }

  /** Decides and answers, but for `exhausted`: the caller disconnects then. Rejects when the authenticator does. */
  async answer(context: AuthContext): Promise<LoginOutcome<Identity>> {
    const attempt = ++this.#requests > MAX_REQUESTS ? undefined : this.#toAttempt(context);
    const decision = attempt === undefined ? ({ kind: 'deny' } as const) : await this.#options.authenticate(attempt);
    if (this.#options.signal.aborted) return { kind: 'answered' };
    if (decision.kind === 'accept' && attempt !== undefined) {
      if (context.method !== 'publickey') return this.#accept(context, decision.identity);
      if (attempt.key?.state === 'proven') return this.#accept(context, decision.identity);
      if (attempt.key?.state === 'offered') {
        context.key.algo = requestedAlgorithm(context);
        context.accept();
        return { kind: 'answered' };
      }
    }
    if (context.method !== 'none') this.#failures++;
    if (this.#failures >= this.#options.maxTries || this.#requests > MAX_REQUESTS) return { kind: 'exhausted' };
    const remaining = decision.kind === 'deny' ? decision.remaining : undefined;
    context.reject([...(remaining ?? this.#options.methods)]);
    return { kind: 'answered' };
  }

  #accept(context: AuthContext, identity: Identity): LoginOutcome<Identity> {
    context.accept();
    return { kind: 'loggedIn', identity };
  }

  /** Undefined: refused whatever the user, so nobody need be asked. */
  #toAttempt(context: AuthContext): LoginAttempt | undefined {
    const { username } = context;
    if (Buffer.byteLength(username) > MAX_USERNAME_BYTES) return undefined;
    const { remoteAddress, signal, methods } = this.#options;
    const common = { username, remoteAddress, signal };
    switch (context.method) {
      case 'none':
        return { ...common, method: 'none' };
      case 'publickey': {
        const key = methods.includes('publickey') ? readUserKey(context) : undefined;
        return key === undefined ? undefined : { ...common, method: 'publickey', key };
      }
      case 'password': {
        // A request to change the password comes as an object.
        const password: unknown = context.password;
        if (!methods.includes('password') || typeof password !== 'string' || Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return undefined;
        return { ...common, method: 'password', password: new Secret(password) };
      }
      default:
        return undefined;
    }
  }
}
