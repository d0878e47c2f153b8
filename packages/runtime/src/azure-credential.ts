import { AzureAuthorityHosts, DefaultAzureCredential, WorkloadIdentityCredential } from '@azure/identity';
import { StoreError } from '@skiff/model/store-error';
import { DeadlineError, withDeadline } from './abort.ts';
import type { Logger } from './logger.ts';
import { retry } from './retry.ts';

export interface AccessToken {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expiresOnTimestamp: number;
}

/** What `@azure/core-auth` calls a TokenCredential; every client of the Azure SDK takes it. */
export interface TokenCredential {
  getToken(scope: string | string[], options?: { readonly abortSignal?: AbortSignal }): Promise<AccessToken | null>;
}

export interface AzureCredentialProps {
  /** Client id of the managed identity. Default: `AZURE_CLIENT_ID`, which the workload identity's webhook or the operator sets. */
  readonly clientId?: string | undefined;
  /** Default: `AZURE_TENANT_ID`. */
  readonly tenantId?: string | undefined;
  /** Projected service account token. Default: `AZURE_FEDERATED_TOKEN_FILE`. Given: nothing but workload identity is tried. */
  readonly federatedTokenFile?: string | undefined;
  /**
   * Token service. Default: that of the public cloud. The addresses of one that Microsoft does not run (a private cloud) are taken
   * as they are instead of being confirmed by the public cloud, which may be out of reach and does not know it. Must be given where
   * `AZURE_AUTHORITY_HOST` is set.
   */
  readonly authorityHost?: string | undefined;
  readonly logger: Logger;
}

/** A token is replaced this long before it ends, so that none expires on the way; a token lasts an hour or more. */
const REFRESH_AHEAD_MS = 5 * 60_000;
/** For one answer to all who wait, retries included. */
const FETCH_TIMEOUT_MS = 20_000;
const RETRY = { maxAttempts: 4, minDelayMs: 200, maxDelayMs: 5_000 } as const;
/** Scopes in use are a handful: storage, Service Bus, MySQL. */
const MAX_SCOPES = 32;

/** A credential that needs no secret: workload identity in a pod, else what `DefaultAzureCredential` finds (managed identity, `az login`). */
export function createAzureCredential(props: AzureCredentialProps): TokenCredential {
  const { clientId, tenantId, federatedTokenFile, authorityHost, logger } = props;
  const options = {
    ...(tenantId === undefined ? {} : { tenantId }),
    ...(authorityHost === undefined ? {} : { authorityHost }),
    disableInstanceDiscovery: !isKnownAuthority(authorityHost),
    // The retries are ours: one place that bounds them.
    retryOptions: { maxRetries: 0 },
  };
  const source =
    federatedTokenFile === undefined
      ? new DefaultAzureCredential({ ...options, ...(clientId === undefined ? {} : { managedIdentityClientId: clientId, workloadIdentityClientId: clientId }) })
      : new WorkloadIdentityCredential({ ...options, tokenFilePath: federatedTokenFile, ...(clientId === undefined ? {} : { clientId }) });
  return cacheTokens({ source, logger, now: Date.now });
}

/**
 * One token per scope for all callers: fetched once however many ask, tried again when the token service is away, replaced before it
 * ends; while the replacement fails, the old one serves to its end.
 */
export function cacheTokens(props: { readonly source: TokenCredential; readonly logger: Logger; readonly now: () => number }): TokenCredential {
  const { source, logger, now } = props;
  const tokens = new Map<string, AccessToken>();
  const underWay = new Map<string, Promise<AccessToken>>();

  async function fetchToken(scopes: string[]): Promise<AccessToken> {
    const onRetry = ({ error, attempt }: { readonly error: unknown; readonly attempt: number }): void =>
      logger.warn({ err: error, attempt, scopes }, 'no Azure token yet, trying again');
    try {
      return await withDeadline({ timeoutMs: FETCH_TIMEOUT_MS }, (signal) =>
        retry({ ...RETRY, signal, isRetryable: mayPass, onRetry }, async () => {
          const token = await source.getToken(scopes, { abortSignal: signal });
          if (token === null) throw new Error('the credential gave no token');
          return token;
        }),
      );
    } catch (cause) {
      const code = cause instanceof DeadlineError || mayPass(cause) ? 'unavailable' : 'denied';
      throw new StoreError({ code, message: `no Azure token for ${scopes.join(' ')}: ${reasonOf(cause)}`, vendorCode: nameOf(cause), cause });
    }
  }

  function refresh(key: string, scopes: string[]): Promise<AccessToken> {
    const pending = underWay.get(key);
    if (pending !== undefined) return pending;
    const fetching = fetchToken(scopes)
      .then((token) => {
        if (tokens.size < MAX_SCOPES || tokens.has(key)) tokens.set(key, token);
        return token;
      })
      .finally(() => underWay.delete(key));
    underWay.set(key, fetching);
    return fetching;
  }

  return {
    async getToken(scope, options) {
      options?.abortSignal?.throwIfAborted();
      const scopes = Array.isArray(scope) ? scope : [scope];
      const key = scopes.join(' ');
      const token = tokens.get(key);
      const leftMs = token === undefined ? 0 : token.expiresOnTimestamp - now();
      if (token !== undefined && leftMs > REFRESH_AHEAD_MS) return token;
      if (token !== undefined && leftMs > FETCH_TIMEOUT_MS) {
        refresh(key, scopes).catch((error: unknown) => logger.warn({ err: error }, 'Azure token not replaced yet, the old one still serves'));
        return token;
      }
      return await withDeadline({ timeoutMs: FETCH_TIMEOUT_MS + 1000, signal: options?.abortSignal }, () => refresh(key, scopes));
    },
  };
}

function isKnownAuthority(host: string | undefined): boolean {
  if (host === undefined) return true;
  const withoutSlash = host.replace(/\/+$/, '').toLowerCase();
  return Object.values(AzureAuthorityHosts).some((known) => known === withoutSlash);
}

/**
 * Wrong configuration does not mend itself: an identity that does not exist, a federation that does not match. The SDK gives the same
 * error class to these and to an outage, so it is the code of the token service (`AADSTS…`) that tells them apart.
 * AADSTS90033 and AADSTS50196 are its words for an outage and for throttling (Microsoft Entra authentication error codes).
 */
function mayPass(error: unknown): boolean {
  const text = error instanceof Error ? error.message : '';
  return !/AADSTS[0-9]+/.test(text) || /AADSTS(90033|50196)\b/.test(text);
}

function nameOf(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined;
}

function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]?.slice(0, 300) ?? '';
}
