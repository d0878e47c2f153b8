import { type ResourceSource, refKey, type SecretLookup } from '../resource-source.ts';

export interface NamespacedSecretKey {
  readonly namespace: string;
  readonly name: string;
  readonly key: string;
}

/** Secrets read at a time: from a cluster each is a request. */
const SECRET_BATCH = 16;

/** Fetches each key once; the answer looks among what was fetched. */
export async function lookUpSecrets(
  source: Pick<ResourceSource, 'secretValue'>,
  refs: readonly NamespacedSecretKey[],
): Promise<(namespace: string, name: string, key: string) => SecretLookup> {
  const wanted = new Map(refs.map((ref) => [lookupKey(ref), ref]));
  const found = new Map<string, SecretLookup>();
  const entries = [...wanted];
  for (let start = 0; start < entries.length; start += SECRET_BATCH) {
    const batch = entries.slice(start, start + SECRET_BATCH);
    await Promise.all(batch.map(async ([id, { namespace, name, key }]) => found.set(id, await source.secretValue(namespace, name, key))));
  }
  return (namespace, name, key) => found.get(lookupKey({ namespace, name, key })) ?? { kind: 'secretNotFound' };
}

/** Keys of Secrets may hold dots but no slash. */
function lookupKey({ namespace, name, key }: NamespacedSecretKey): string {
  return `${refKey({ kind: 'Secret', namespace, name })}/${key}`;
}
