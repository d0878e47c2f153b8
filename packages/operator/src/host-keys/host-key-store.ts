import type { HostKey } from '@skiff/credentials/host-key';
import type { EndpointHostKey, HostKeyState } from '@skiff/model/host-key';
import type { Obstacle } from '@skiff/policy/complete-conditions';

export type { HostKey } from '@skiff/credentials/host-key';
export type HostKeyAlgorithm = NonNullable<EndpointHostKey['algorithm']>;

/** One entry of `spec.hostKeys` with what it refers to. */
export interface WantedHostKey {
  readonly name: string;
  readonly state: HostKeyState;
  /** Kind of key to make where there is none. */
  readonly algorithm: HostKeyAlgorithm;
  /** Undefined: what is there, or a new one. */
  readonly given: HostKey | undefined;
}

/** `default`: what is there, or one new key. `asTheyAre`: what is there; nothing is written, since what is wanted is not known. */
export type HostKeyWish = 'default' | 'asTheyAre' | readonly WantedHostKey[];

export interface HeldHostKey {
  readonly name: string;
  readonly state: HostKeyState;
  readonly key: HostKey;
}

export interface HostKeys {
  /** What clients are shown: the Active ones. At least one. */
  readonly keys: readonly HostKey[];
  /** All of the spec, and what is served without being in it. */
  readonly held: readonly HeldHostKey[];
  /** Made by this very call. */
  readonly generated: readonly HostKey[];
  /** Why the wish was not followed; what was there goes on being served. */
  readonly problem?: Obstacle | undefined;
}

/** Keys that are there and must not be used, or cannot be read. `HostKeyMissing`: none, until the spec or a Secret that it names is another. */
export class HostKeyStoreError extends Error {
  readonly code: 'HostKeyPermissions' | 'HostKeyInvalid' | 'HostKeyUnreadable' | 'HostKeyMissing' | 'HostKeyAccessNotGranted';
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
  /** Brings the endpoint's keys to what is wanted. @throws {HostKeyStoreError} */
  ensure(endpoint: { readonly namespace: string; readonly name: string }, wish: HostKeyWish, signal: AbortSignal): Promise<HostKeys>;
}
