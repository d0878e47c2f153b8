import type { HostKey } from '@skiff/credentials/host-key';
import type { Fence, KubeClient } from '@skiff/kube/kube-client';
import { isNotFound, KubeError } from '@skiff/kube/kube-error';
import type { KubeObject } from '@skiff/kube/kube-object';
import { Secrets } from '@skiff/kube/resource-type';
import { isRecord } from '@skiff/model/is-record';
import { ENDPOINT_ANNOTATION, hostKeySecretName, MANAGED_BY } from '@skiff/policy/workload-names';
import { type HostKeyAlgorithm, type HostKeyStore, HostKeyStoreError } from '../host-keys/host-key-store.ts';
import { planHostKeys } from '../host-keys/plan-host-keys.ts';
import { filesOf, type HostKeyFiles, isHostKeyFile, readStoredKeys } from '../host-keys/stored-host-keys.ts';
import { namespaceHint } from './refusal.ts';

export interface SecretHostKeyStoreProps {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'mergePatch'>;
  readonly fence: Fence;
  readonly serviceAccount: { readonly namespace: string; readonly name: string };
  readonly generate: (algorithm: HostKeyAlgorithm) => HostKey;
}

const CALL_TIMEOUT_MS = 10_000;

/**
 * Keeps host keys in the Secret `skiff-<endpoint>-host-keys`, which pods mount. It belongs to nobody, and so outlives the endpoint: every
 * partner's client remembers these keys. One that is there already is used. It is written once, and then only when the endpoint's
 * `hostKeys` ask for another content, in one write that fails when somebody else was first.
 */
export function createSecretHostKeyStore(props: SecretHostKeyStoreProps): HostKeyStore {
  return {
    async ensure({ namespace, name: endpoint }, wish, signal) {
      const ref = { namespace, name: hostKeySecretName(endpoint) };
      const where = `Secret ${namespace}/${ref.name}`;
      try {
        const secret = await find(props, ref, signal);
        const files = secret === undefined ? NOTHING : contentOf(secret);
        const stored = readStoredKeys(files, where);
        if (secret !== undefined && stored.length === 0)
          throw new HostKeyStoreError('HostKeyInvalid', `${where} holds no host key: one is needed, as ssh_host_ed25519_key`);
        const plan = planHostKeys(stored, wish, props.generate);
        // Somebody may be faster: the next look finds their keys. An answer that was lost ends the same way.
        if (secret === undefined) await create(props, { ...ref, endpoint, files: filesOf(plan.stored) }, signal);
        else if (plan.stored !== stored) await change(props, { secret, ref, before: files, after: filesOf(plan.stored) }, signal);
        return plan.result;
      } catch (error) {
        throw explain(error, namespace, props);
      }
    },
  };
}

const NOTHING: HostKeyFiles = new Map();

interface SecretRef {
  readonly namespace: string;
  readonly name: string;
}

async function find({ client }: SecretHostKeyStoreProps, ref: SecretRef, signal: AbortSignal): Promise<KubeObject | undefined> {
  try {
    return await client.get(Secrets, ref, { signal, timeoutMs: CALL_TIMEOUT_MS });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function create(
  { client, fence }: SecretHostKeyStoreProps,
  at: SecretRef & { readonly endpoint: string; readonly files: HostKeyFiles },
  signal: AbortSignal,
): Promise<void> {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: at.namespace, name: at.name, labels: MANAGED_BY, annotations: { [ENDPOINT_ANNOTATION]: at.endpoint } },
    type: 'Opaque',
    stringData: Object.fromEntries(at.files),
  };
  await client.create(Secrets, secret, { signal, fence, timeoutMs: CALL_TIMEOUT_MS });
}

interface Change {
  readonly secret: KubeObject;
  readonly ref: SecretRef;
  readonly before: HostKeyFiles;
  readonly after: HostKeyFiles;
}

/** With the version that was read: what another writer has put there meanwhile is not overwritten. */
async function change({ client, fence }: SecretHostKeyStoreProps, { secret, ref, before, after }: Change, signal: AbortSignal): Promise<void> {
  const gone = [...before.keys()].filter((file) => isHostKeyFile(file) && !after.has(file));
  const data = Object.fromEntries([
    ...gone.map((file) => [file, null] as const),
    ...[...after].map(([file, text]) => [file, Buffer.from(text, 'utf8').toString('base64')] as const),
  ]);
  const { resourceVersion } = secret.metadata;
  await client.mergePatch(Secrets, ref, { metadata: { resourceVersion }, data }, { signal, fence, timeoutMs: CALL_TIMEOUT_MS });
}

function contentOf(secret: KubeObject): HostKeyFiles {
  const data = isRecord(secret.data) ? secret.data : {};
  return new Map(Object.entries(data).map(([file, value]) => [file, Buffer.from(String(value), 'base64').toString('utf8')]));
}

function explain(error: unknown, namespace: string, props: SecretHostKeyStoreProps): unknown {
  if (!(error instanceof KubeError) || error.httpStatus !== 403) return error;
  return new HostKeyStoreError('HostKeyAccessNotGranted', namespaceHint(namespace, props.serviceAccount), { cause: error });
}
