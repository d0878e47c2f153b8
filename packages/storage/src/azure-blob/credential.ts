import type { Secret } from '@skiff/runtime/secret';

export interface AccessToken {
  readonly token: string;
  readonly expiresOnTimestamp: number;
}

/** What `@azure/core-auth` calls a TokenCredential: any credential of `@azure/identity` fits. */
export interface TokenCredential {
  getToken(scope: string | string[], options?: { readonly abortSignal?: AbortSignal }): Promise<AccessToken | null>;
}

/** An account's key, for other clouds and local work; on Azure use a token. */
export interface SharedKey {
  readonly accountName: string;
  /** Base64, as the portal shows it. */
  readonly accountKey: Secret<string>;
}

export type BlobCredential = TokenCredential | SharedKey;

export function isSharedKey(credential: BlobCredential): credential is SharedKey {
  return 'accountKey' in credential;
}
