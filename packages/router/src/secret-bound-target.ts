import type { DeliveryOutcome, DeliveryTarget } from '@skiff/messaging/delivery-target';
import { type RoutedTarget, type SecretKeyRef, secretRefKey, secretRefsOf } from '@skiff/model/route-secrets';
import { secretFingerprint } from '@skiff/policy/secret-fingerprint';
import type { Secret } from '@skiff/runtime/secret';
import type { SecretReader } from './secret-reader.ts';

/** The secrets of one target. @throws {RangeError} for one that the target does not name. */
export type TargetSecrets = (ref: SecretKeyRef) => Secret<string>;

export interface SecretBoundProps {
  /** Of the route. */
  readonly namespace: string;
  readonly target: RoutedTarget;
  readonly secrets: SecretReader;
  /** Makes the target once its secrets are there. */
  readonly make: (secrets: TargetSecrets) => DeliveryTarget;
  readonly monotonicMs: () => number;
}

/** The files of a mounted Secret follow its change by up to two minutes; looking costs a few reads. */
const LOOK_AGAIN_MS = 2_000;

/**
 * A target whose deliveries wait until the secrets that the router has been given are those that the route's row was made with. A
 * changed secret changes the row, and so makes another target.
 */
export function createSecretBoundTarget(props: SecretBoundProps): DeliveryTarget {
  let ready: DeliveryTarget | undefined;
  let looking: Promise<string | undefined> | undefined;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let missing: string | undefined = 'the secrets were not looked at yet';

  async function look(): Promise<string | undefined> {
    const found = new Map<string, Secret<string>>();
    for (const ref of secretRefsOf(props.target)) {
      const key = secretRefKey(ref);
      const expected = props.target.secretFingerprints?.[key];
      if (expected === undefined) return `Secret ${props.namespace}/${ref.name}, key ${ref.key}, was not found`;
      const value = await props.secrets.read(props.namespace, ref);
      const matches = value !== undefined && secretFingerprint(`${props.namespace}/${key}`, value.reveal()) === expected;
      if (!matches) return `Secret ${props.namespace}/${ref.name}, key ${ref.key}, has not reached this router yet`;
      found.set(key, value);
    }
    ready = props.make((ref) => {
      const value = found.get(secretRefKey(ref));
      if (value === undefined) throw new RangeError('the target does not name this secret');
      return value;
    });
    return undefined;
  }

  async function ensure(): Promise<DeliveryOutcome | undefined> {
    if (ready !== undefined) return undefined;
    if (looking === undefined && props.monotonicMs() - lookedAt >= LOOK_AGAIN_MS) {
      lookedAt = props.monotonicMs();
      looking = look()
        .catch((error: unknown) => `the target is unusable: ${error instanceof Error ? error.message : 'unknown failure'}`)
        .finally(() => {
          looking = undefined;
        });
    }
    if (looking !== undefined) missing = await looking;
    return missing === undefined ? undefined : { kind: 'retry', reason: missing, retryAfterMs: LOOK_AGAIN_MS, untried: true };
  }

  return {
    async deliver(input, signal) {
      return (await ensure()) ?? (await ready?.deliver(input, signal)) ?? { kind: 'retry', reason: 'the target was closed' };
    },
    async close() {
      await looking;
      await ready?.close();
    },
  };
}
