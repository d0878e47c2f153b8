import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';

/** Any Azure credential, such as `createAzureCredential` of `@skiff/runtime`. */
export interface ServiceBusTokenCredential {
  getToken(
    scopes: string | string[],
    options?: { readonly abortSignal?: AbortSignal },
  ): Promise<{ readonly token: string; readonly expiresOnTimestamp: number } | null>;
}

export interface ServiceBusOptions {
  /** Fully qualified: `name.servicebus.windows.net`. */
  readonly namespace: string;
  readonly queue: string;
  /** Where to connect instead: `sb://host:port`, for private endpoints and emulators. The namespace stays the token's audience. */
  readonly endpoint?: string;
  readonly credential: ServiceBusTokenCredential | { readonly connectionString: Secret<string> };
  /** Connections are replaced after this time, in milliseconds. Default: 30 minutes, well below the time for which a token lives. */
  readonly recycleAfterMs?: number;
  readonly logger: Logger;
}

/** A client whose token renewal failed once never renews again (azure-sdk-for-js#38467): none grows old enough. */
export const RECYCLE_AFTER_MS = 30 * 60_000;
