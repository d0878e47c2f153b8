import type { RouteTarget } from '@skiff/model/event-route';
import { type RoutedTarget, type SecretKeyRef, secretRefKey, secretRefsOf } from '@skiff/model/route-secrets';
import { secretFingerprint } from '../secret-fingerprint.ts';
import type { Obstacle } from './complete-conditions.ts';
import type { SecretLookup } from './user-credentials.ts';

export interface RouteSecrets {
  /** Secrets are fetched beforehand; this only looks. */
  lookUp(namespace: string, name: string, key: string): SecretLookup;
}

/** The targets with a fingerprint of each secret that was found, and the first reason why one was not. */
export function resolveRouteSecrets(
  namespace: string,
  targets: readonly RouteTarget[],
  secrets: RouteSecrets,
): { readonly targets: readonly RoutedTarget[]; readonly obstacle: Obstacle | undefined } {
  let obstacle: Obstacle | undefined;
  const routed = targets.map((target): RoutedTarget => {
    const refs = secretRefsOf(target);
    if (refs.length === 0) return target;
    const fingerprints: Record<string, string> = {};
    for (const ref of refs) {
      const found = secrets.lookUp(namespace, ref.name, ref.key);
      if (found.kind === 'found') fingerprints[secretRefKey(ref)] = secretFingerprint(`${namespace}/${secretRefKey(ref)}`, found.value.reveal());
      else obstacle ??= secretObstacle(found, { who: `target ${target.name}`, namespace, ref, until: 'deliveries wait until then' });
    }
    return { ...target, secretFingerprints: fingerprints };
  });
  return { targets: routed, obstacle };
}

/** Who needs which Secret, and what happens until it is there. */
export interface MissingSecret {
  readonly who: string;
  readonly namespace: string;
  readonly ref: SecretKeyRef;
  readonly until: string;
}

export function secretObstacle(missing: Exclude<SecretLookup, { kind: 'found' }>, { who, namespace, ref, until }: MissingSecret): Obstacle {
  const secret = `Secret ${namespace}/${ref.name}`;
  switch (missing.kind) {
    case 'secretNotFound':
      return { reason: 'SecretNotFound', message: `${who}: ${secret} does not exist: create it; ${until}` };
    case 'keyNotFound':
      return { reason: 'SecretKeyNotFound', message: `${who}: ${secret} has no key ${ref.key}: add it; ${until}` };
    case 'accessNotGranted':
      return { reason: 'SecretAccessNotGranted', message: `${who}: ${secret} may not be read: ${missing.hint}; ${until}` };
  }
}
