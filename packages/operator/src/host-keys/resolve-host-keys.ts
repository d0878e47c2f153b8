import { type HostKey, HostKeyError, readHostKey } from '@skiff/credentials/host-key';
import type { EndpointHostKey } from '@skiff/model/host-key';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { Obstacle } from '@skiff/policy/complete-conditions';
import { lookUpSecrets } from '../reconcile/secret-lookups.ts';
import type { ResourceSource, SecretLookup } from '../resource-source.ts';
import type { HostKeyWish, WantedHostKey } from './host-key-store.ts';

export interface ResolvedHostKeys {
  readonly wish: HostKeyWish;
  /** Why a key that the spec names cannot be had. */
  readonly obstacle: Obstacle | undefined;
}

/** What the endpoint's spec says of its host keys, with the keys that it names. @throws {StoreError} when it cannot be said now. */
export async function resolveHostKeys(source: Pick<ResourceSource, 'secretValue'>, { metadata, spec }: SftpEndpoint): Promise<ResolvedHostKeys> {
  if (spec.hostKeys === undefined) return { wish: 'default', obstacle: undefined };
  const { namespace } = metadata;
  const refs = spec.hostKeys.flatMap(({ secretRef }) => (secretRef === undefined ? [] : [{ namespace, ...secretRef }]));
  const lookUp = await lookUpSecrets(source, refs);
  const wish: WantedHostKey[] = [];
  for (const { name, state, algorithm = 'Ed25519', secretRef } of spec.hostKeys) {
    const given = secretRef === undefined ? undefined : readGiven({ name, namespace, secretRef }, lookUp(namespace, secretRef.name, secretRef.key));
    if (given !== undefined && 'reason' in given) return { wish: 'asTheyAre', obstacle: given };
    wish.push({ name, state, algorithm, given });
  }
  return { wish, obstacle: undefined };
}

interface GivenKey {
  readonly name: string;
  readonly namespace: string;
  readonly secretRef: NonNullable<EndpointHostKey['secretRef']>;
}

function readGiven({ name, namespace, secretRef }: GivenKey, found: SecretLookup): HostKey | Obstacle {
  const secret = `Secret ${namespace}/${secretRef.name}`;
  switch (found.kind) {
    case 'secretNotFound':
      return { reason: 'SecretNotFound', message: `host key ${name}: ${secret} does not exist: create it, or correct spec.hostKeys` };
    case 'keyNotFound':
      return { reason: 'SecretKeyNotFound', message: `host key ${name}: ${secret} has no key ${secretRef.key}: add it, or correct spec.hostKeys` };
    case 'accessNotGranted':
      return { reason: 'SecretAccessNotGranted', message: `host key ${name}: ${secret} may not be read: ${found.hint}` };
    case 'found':
      try {
        return readHostKey(found.value.reveal());
      } catch (error) {
        if (!(error instanceof HostKeyError)) throw error;
        return { reason: 'SecretInvalid', message: `host key ${name}: key ${secretRef.key} of ${secret}: ${error.message}` };
      }
  }
}
