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
  readonly logger: Logger;
}
