import type { HostKey } from '@skiff/credentials/host-key';

export type { HostKey } from '@skiff/credentials/host-key';

export interface HostKeys {
  readonly keys: readonly HostKey[];
  /** True when they were made by this very call. */
  readonly generated: boolean;
}

/** Keys that are there and must not be used, or cannot be read. */
export class HostKeyStoreError extends Error {
  readonly code: 'HostKeyPermissions' | 'HostKeyInvalid' | 'HostKeyUnreadable' | 'HostKeyAccessNotGranted';
  constructor(code: HostKeyStoreError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HostKeyStoreError';
    this.code = code;
  }
}

/**
 * Keeps the host keys of endpoints: the same on every pod, never the same on two installs, made once and never overwritten,
 * since every partner's client remembers them.
 */
export interface HostKeyStore {
  /** The endpoint's keys, made now if there are none. @throws {HostKeyStoreError} */
  ensure(endpoint: { readonly namespace: string; readonly name: string }, signal: AbortSignal): Promise<HostKeys>;
}
