import { type HostKey, HostKeyError, readHostKey } from '@skiff/credentials/host-key';
import type { Fence, KubeClient } from '@skiff/kube/kube-client';
import { isNotFound, KubeError } from '@skiff/kube/kube-error';
import type { KubeObject } from '@skiff/kube/kube-object';
import { Secrets } from '@skiff/kube/resource-type';
import { isRecord } from '@skiff/model/is-record';
import { ENDPOINT_ANNOTATION, hostKeySecretName, MANAGED_BY } from '@skiff/policy/workload-names';
import { type HostKeyStore, HostKeyStoreError, type HostKeys } from '../host-keys/host-key-store.ts';
import { namespaceHint } from './refusal.ts';

export interface SecretHostKeyStoreProps {
  readonly client: Pick<KubeClient, 'get' | 'create'>;
  readonly fence: Fence;
  readonly serviceAccount: { readonly namespace: string; readonly name: string };
  /** Makes the key of a new endpoint. */
  readonly generate: () => HostKey;
}

const CALL_TIMEOUT_MS = 10_000;
/** OpenSSH's own names, so that the keys of an old server can be brought along: `kubectl create secret generic --from-file`. */
const KEY_NAME = /^ssh_host_[a-z0-9]+_key$/;
const MAX_KEYS = 8;

/**
 * Keeps host keys in the Secret `skiff-<endpoint>-host-keys`. It is created once and never written again, belongs to nobody, and so
 * outlives the endpoint: every partner's client remembers these keys. One that is there already is used.
 */
export function createSecretHostKeyStore(props: SecretHostKeyStoreProps): HostKeyStore {
  return {
    async ensure({ namespace, name }, signal) {
      const ref = { namespace, name: hostKeySecretName(name) };
      try {
        return { keys: readKeys(await props.client.get(Secrets, ref, { signal, timeoutMs: CALL_TIMEOUT_MS })), generated: false };
      } catch (error) {
        if (!isNotFound(error)) throw explain(error, namespace, props);
      }
      return make(props, { endpoint: name, ...ref }, signal);
    },
  };
}

async function make(
  props: SecretHostKeyStoreProps,
  at: { readonly endpoint: string; readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<HostKeys> {
  const key = props.generate();
  const file = `ssh_host_${key.algorithm.replace(/^ssh-|-.*$/g, '')}_key`;
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: at.namespace, name: at.name, labels: MANAGED_BY, annotations: { [ENDPOINT_ANNOTATION]: at.endpoint } },
    type: 'Opaque',
    stringData: { [file]: key.privateKey.reveal(), [`${file}.pub`]: `${key.publicKey}\n` },
  };
  try {
    await props.client.create(Secrets, secret, { signal, fence: props.fence, timeoutMs: CALL_TIMEOUT_MS });
    return { keys: [key], generated: true };
  } catch (error) {
    // Somebody was faster; the next look finds their keys. An answer that was lost ends the same way.
    throw explain(error, at.namespace, props);
  }
}

function readKeys(secret: KubeObject): readonly HostKey[] {
  const { namespace = '', name } = secret.metadata;
  const data = isRecord(secret.data) ? secret.data : {};
  const names = Object.keys(data)
    .filter((key) => KEY_NAME.test(key))
    .sort();
  if (names.length === 0 || names.length > MAX_KEYS) {
    throw new HostKeyStoreError(
      'HostKeyInvalid',
      `Secret ${namespace}/${name} holds ${names.length} host keys: 1 to ${MAX_KEYS} are needed, as ssh_host_ed25519_key`,
    );
  }
  return names.map((key) => {
    try {
      return readHostKey(Buffer.from(String(data[key]), 'base64').toString('utf8'));
    } catch (error) {
      if (!(error instanceof HostKeyError)) throw error;
      throw new HostKeyStoreError('HostKeyInvalid', `key ${key} of Secret ${namespace}/${name}: ${error.message}`, { cause: error });
    }
  });
}

function explain(error: unknown, namespace: string, props: SecretHostKeyStoreProps): unknown {
  if (!(error instanceof KubeError) || error.httpStatus !== 403) return error;
  return new HostKeyStoreError('HostKeyAccessNotGranted', namespaceHint(namespace, props.serviceAccount), { cause: error });
}
