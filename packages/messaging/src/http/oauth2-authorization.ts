import { withDeadline } from '@skiff/runtime/abort';
import { Secret } from '@skiff/runtime/secret';
import { Pool } from 'undici';
import type { AddressPolicy } from './address-guard.ts';
import { type Authorization, AuthorizationError, basicCredentials, headerSafe } from './authorization.ts';
import { createGuardedConnector } from './guarded-connector.ts';
import { HttpTargetError } from './http-target-error.ts';
import { readBounded } from './read-bounded.ts';

export interface OAuth2Options {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: Secret<string>;
  readonly scope?: string;
  readonly addresses: AddressPolicy;
  /** Certificates (PEM) to trust in place of the system's. */
  readonly ca?: string;
  readonly monotonicMs?: () => number;
}

const FETCH_TIMEOUT_MS = 10_000;
/** After a failure nobody asks again for so long: a thousand deliveries must not become a thousand requests. */
const FAILURE_PAUSE_MS = 2_000;
const DEFAULT_LIFETIME_S = 300;
const MAX_LIFETIME_S = 86_400;
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * OAuth 2.0 client credentials (RFC 6749 §4.4). One token for all deliveries: fetched once however many wait, and again shortly before
 * it ends or when the target refused it.
 *
 * @throws {HttpTargetError} for a token URL that cannot be used.
 */
export function createOAuth2Authorization(options: OAuth2Options): Authorization {
  return new ClientCredentials(options);
}

class ClientCredentials implements Authorization {
  readonly #options: OAuth2Options;
  readonly #pool: Pool;
  readonly #path: string;
  readonly #monotonicMs: () => number;
  #token: { readonly value: Secret<string>; readonly usableUntil: number } | undefined;
  #fetching: Promise<string> | undefined;
  #failure: { readonly error: AuthorizationError; readonly until: number } | undefined;

  constructor(options: OAuth2Options) {
    const url = URL.parse(options.tokenUrl);
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.username !== '' || url.password !== '') {
      throw new HttpTargetError('the token URL is not an http or https address');
    }
    this.#options = options;
    this.#path = `${url.pathname}${url.search}`;
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.#pool = new Pool(url.origin, {
      connections: 1,
      headersTimeout: FETCH_TIMEOUT_MS,
      bodyTimeout: FETCH_TIMEOUT_MS,
      connect: createGuardedConnector(options.addresses, {
        timeout: FETCH_TIMEOUT_MS,
        allowH2: false,
        ...(options.ca === undefined ? {} : { ca: options.ca }),
      }),
    });
  }

  async header(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const now = this.#monotonicMs();
    if (this.#token !== undefined && now < this.#token.usableUntil) return `Bearer ${this.#token.value.reveal()}`;
    if (this.#failure !== undefined && now < this.#failure.until) throw this.#failure.error;
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    // Each waiter by its own signal: one that gives up does not end the fetch of the others.
    const fetching = this.#fetching;
    return `Bearer ${await withDeadline({ timeoutMs: FETCH_TIMEOUT_MS + 1000, signal }, () => fetching)}`;
  }

  refused(): boolean {
    const had = this.#token !== undefined;
    this.#token = undefined;
    return had;
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }

  async #fetch(): Promise<string> {
    try {
      const { token, lifetimeS } = await withDeadline({ timeoutMs: FETCH_TIMEOUT_MS }, (signal) => this.#ask(signal));
      const usableMs = lifetimeS * 1000 - Math.min(60_000, lifetimeS * 100);
      this.#token = { value: new Secret(token), usableUntil: this.#monotonicMs() + usableMs };
      this.#failure = undefined;
      return token;
    } catch (cause) {
      const error = cause instanceof AuthorizationError ? cause : new AuthorizationError(`no access token: ${reasonOf(cause)}`, { cause });
      this.#failure = { error, until: this.#monotonicMs() + FAILURE_PAUSE_MS };
      throw error;
    }
  }

  async #ask(signal: AbortSignal): Promise<{ readonly token: string; readonly lifetimeS: number }> {
    const { clientId, clientSecret, scope } = this.#options;
    const body = new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) }).toString();
    const answer = await this.#pool.request({
      method: 'POST',
      path: this.#path,
      headers: {
        // RFC 6749 §2.3.1: both are form-encoded before they are joined.
        authorization: basicCredentials(formEncode(clientId), new Secret(formEncode(clientSecret.reveal().trim()))),
        'content-type': 'application/x-www-form-urlencoded',
        accept: 'application/json',
      },
      body,
      signal,
    });
    const json = parseJson(await readBounded(answer.body, MAX_ANSWER_BYTES));
    if (answer.statusCode !== 200) throw new AuthorizationError(`no access token: HTTP ${answer.statusCode}${errorCodeOf(json)}`);
    const { access_token: token, token_type: type, expires_in: lifetime } = json ?? {};
    if (typeof token !== 'string' || (typeof type === 'string' && type.toLowerCase() !== 'bearer')) {
      throw new AuthorizationError('no access token: the answer holds no bearer token');
    }
    const seconds = typeof lifetime === 'number' && lifetime > 0 ? Math.min(lifetime, MAX_LIFETIME_S) : DEFAULT_LIFETIME_S;
    return { token: headerSafe(token), lifetimeS: seconds };
  }
}

function formEncode(text: string): string {
  return new URLSearchParams({ v: text }).toString().slice(2);
}

function parseJson(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** RFC 6749 §5.2: the code is one of a few words. The description is free text and may repeat what was sent. */
function errorCodeOf(json: Readonly<Record<string, unknown>> | undefined): string {
  return typeof json?.error === 'string' && /^[a-z_]{1,40}$/.test(json.error) ? ` ${json.error}` : '';
}

function reasonOf(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if ('code' in at && at.code === 'AddressRefused') return at.message;
  }
  return error instanceof Error ? (error.message.split('\n', 1)[0] ?? '').slice(0, 200) : 'unknown failure';
}
