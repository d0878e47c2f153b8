import { isRecord } from '@skiff/model/is-record';
import { Secret } from '@skiff/runtime/secret';

/** A Kubernetes `Secret` read from a manifest. */
export interface SecretManifest {
  readonly namespace: string;
  readonly name: string;
  readonly values: ReadonlyMap<string, Secret<string>>;
}

export type ParsedSecret =
  | { readonly kind: 'secret'; readonly secret: SecretManifest }
  | { readonly kind: 'invalid'; readonly path: readonly string[]; readonly message: string };

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Reads `data` (base64) and `stringData`, which wins as it does in the API server. Messages name keys, never values. */
export function parseSecretManifest(manifest: Record<string, unknown>, id: { readonly namespace: string; readonly name: string }): ParsedSecret {
  const invalid = (path: readonly string[], message: string): ParsedSecret => ({ kind: 'invalid', path, message });
  if (manifest.apiVersion !== 'v1') return invalid(['apiVersion'], 'a Secret has apiVersion v1');
  const { data, stringData } = { data: manifest.data ?? {}, stringData: manifest.stringData ?? {} };
  if (!isRecord(data)) return invalid(['data'], 'data of a Secret is a map of base64 text');
  if (!isRecord(stringData)) return invalid(['stringData'], 'stringData of a Secret is a map of text');
  const values = new Map<string, Secret<string>>();
  for (const [key, value] of Object.entries(data)) {
    const text = typeof value === 'string' ? value.replace(/\s+/g, '') : undefined;
    if (text === undefined || !BASE64.test(text)) return invalid(['data', key], `data.${key} of the Secret is not base64; use stringData for plain text`);
    values.set(key, new Secret(Buffer.from(text, 'base64').toString('utf8')));
  }
  for (const [key, value] of Object.entries(stringData)) {
    if (typeof value !== 'string') return invalid(['stringData', key], `stringData.${key} of the Secret is not text; put it in quotes`);
    values.set(key, new Secret(value));
  }
  return { kind: 'secret', secret: { ...id, values } };
}
