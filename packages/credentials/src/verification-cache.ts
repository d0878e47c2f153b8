import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '@skiff/runtime/clock';
import type { Secret } from '@skiff/runtime/secret';

/** Checks a password against a hash; without a hash it works as long and says no. */
export type VerifyPassword = (hash: string | null, password: Secret<string>) => Promise<boolean>;

export interface CachedVerifierProps {
  readonly verify: VerifyPassword;
  readonly clock: Clock;
  /** Milliseconds. Default: 60,000. */
  readonly ttlMs?: number;
  /** Default: 10,000, some 2 MB. */
  readonly maxEntries?: number;
}

/**
 * Remembers for a minute that a password was right: clients that open a session per file pay for one hash, not for each. Keyed by
 * an HMAC of hash and password under a key of this process, so a changed hash is another entry, and memory holds no password.
 * Failures are never remembered. Checks of the same password that come while one is under way share its answer.
 */
export function createCachedVerifier({ verify, clock, ttlMs = 60_000, maxEntries = 10_000 }: CachedVerifierProps): VerifyPassword {
  const processKey = randomBytes(32);
  const expiryByKey = new Map<string, number>();
  const underWay = new Map<string, Promise<boolean>>();

  function remember(key: string): void {
    expiryByKey.delete(key);
    // Insertion order is expiry order: the first one is the oldest.
    const oldest = expiryByKey.size >= maxEntries ? expiryByKey.keys().next().value : undefined;
    if (oldest !== undefined) expiryByKey.delete(oldest);
    expiryByKey.set(key, clock.monotonicMs() + ttlMs);
  }

  return async (hash, password) => {
    if (hash === null) return await verify(hash, password);
    const key = createHmac('sha256', processKey).update(`${hash.length} ${hash}`).update(password.reveal()).digest('base64');
    const expiry = expiryByKey.get(key);
    if (expiry !== undefined && clock.monotonicMs() < expiry) return true;
    expiryByKey.delete(key);
    const pending = underWay.get(key);
    if (pending !== undefined) return await pending;
    const checking = verify(hash, password).finally(() => underWay.delete(key));
    underWay.set(key, checking);
    const verified = await checking;
    if (verified) remember(key);
    return verified;
  };
}
