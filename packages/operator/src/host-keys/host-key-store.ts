import type { Secret } from '@skiff/runtime/secret';

/** One key that an endpoint's servers prove themselves by. */
export interface HostKey {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`. */
  readonly algorithm: string;
  /** OpenSSH or PEM form, unencrypted. */
  readonly privateKey: Secret<string>;
  /** One line, as in `known_hosts` after the host's name. */
  readonly publicKey: string;
  /** `SHA256:…`, as clients show it. */
  readonly fingerprint: string;
}

export interface HostKeys {
  readonly keys: readonly HostKey[];
  /** True when they were made by this very call. */
  readonly generated: boolean;
}

/** Keys that are there and must not be used, or cannot be read. */
export class HostKeyError extends Error {
  readonly code: 'HostKeyPermissions' | 'HostKeyInvalid' | 'HostKeyUnreadable';
  constructor(code: HostKeyError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HostKeyError';
    this.code = code;
  }
}

/**
 * Keeps the host keys of endpoints: the same on every pod, never the same on two installs, made once and never overwritten,
 * since every partner's client remembers them.
 */
export interface HostKeyStore {
  /** The endpoint's keys, made now if there are none. @throws {HostKeyError} */
  ensure(endpoint: { readonly namespace: string; readonly name: string }, signal: AbortSignal): Promise<HostKeys>;
}
