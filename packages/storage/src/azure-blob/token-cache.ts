import { StoreError } from '@skiff/model/store-error';
import type { AccessToken, TokenCredential } from './credential.ts';

/** Valid for every storage account of every cloud (Authorize access to blobs with Microsoft Entra ID). */
const SCOPE = 'https://storage.azure.com/.default';

/** A new token is fetched while the old one still works this long: an hour's token survives minutes without the token service. */
const REFRESH_AHEAD_MS = 5 * 60_000;
/** Not used any more: it would expire on the way. */
const MARGIN_MS = 15_000;
/** After a refresh that failed while the old token still works. */
const REFRESH_PAUSE_MS = 10_000;
/** Bounds one fetch, because all callers wait for the same one. */
const FETCH_TIMEOUT_MS = 20_000;

/** One token for all calls: fetched once however many ask, and renewed in the background before it expires. */
export class TokenCache {
  readonly #credential: TokenCredential;
  readonly #now: () => number;
  #token: AccessToken | undefined;
  #fetching: Promise<AccessToken> | undefined;
  #nextRefreshAt = 0;

  constructor(credential: TokenCredential, now: () => number = Date.now) {
    this.#credential = credential;
    this.#now = now;
  }

  /** @throws {StoreError} `unavailable` when there is no valid token and none can be had. */
  async get(): Promise<AccessToken> {
    const token = this.#token;
    const leftMs = token === undefined ? 0 : token.expiresOnTimestamp - this.#now();
    if (token === undefined || leftMs <= MARGIN_MS) return await this.#fetch();
    if (leftMs <= REFRESH_AHEAD_MS && this.#now() >= this.#nextRefreshAt) {
      this.#nextRefreshAt = this.#now() + REFRESH_PAUSE_MS;
      // The token at hand is good; should this fail, the next try follows after the pause, and the last one is waited for.
      this.#fetch().catch(() => undefined);
    }
    return token;
  }

  /** Forgets a token that the store refused, unless a newer one has come already. */
  refused(token: string): void {
    if (this.#token?.token === token) this.#token = undefined;
  }

  #fetch(): Promise<AccessToken> {
    this.#fetching ??= this.#fetchNow().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetchNow(): Promise<AccessToken> {
    const abort = AbortSignal.timeout(FETCH_TIMEOUT_MS);
    try {
      const token = await Promise.race([this.#credential.getToken(SCOPE, { abortSignal: abort }), rejectOn(abort)]);
      if (token === null) throw new Error('the credential gave no token');
      this.#token = token;
      return token;
    } catch (cause) {
      const vendorCode = cause instanceof Error ? cause.name : undefined;
      throw new StoreError({ code: 'unavailable', message: 'no token for the storage account', vendorCode, cause });
    }
  }
}

function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}
