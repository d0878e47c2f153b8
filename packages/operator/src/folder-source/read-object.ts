import { isRecord } from '@skiff/model/is-record';
import type { ResourceKind } from '@skiff/model/object-meta';
import { parseResource, type SftpResource } from '@skiff/model/parse-resource';
import { refKey } from '../resource-source.ts';
import { parseSecretManifest, type SecretManifest } from './secret-manifest.ts';

/** Where inside an object: field names and indices. */
export type FieldPath = readonly (string | number)[];

export type ReadObject =
  | { readonly kind: 'resource'; readonly ref: string; readonly resource: SftpResource }
  | { readonly kind: 'secret'; readonly ref: string; readonly secret: SecretManifest }
  /** A kind that is none of ours. */
  | { readonly kind: 'ignored'; readonly objectKind: string }
  | { readonly kind: 'invalid'; readonly ref: string | undefined; readonly problems: readonly { readonly path: FieldPath; readonly message: string }[] };

/** Reads one object of a manifest. Pure. */
export function readObject(value: unknown): ReadObject {
  const invalid = (path: FieldPath, message: string): ReadObject => ({ kind: 'invalid', ref: undefined, problems: [{ path, message }] });
  if (!isRecord(value) || typeof value.kind !== 'string') return invalid([], 'not a Kubernetes object: it needs apiVersion, kind, metadata and spec');
  const { kind } = value;
  if (kind !== 'Secret' && !isResourceKind(kind)) return { kind: 'ignored', objectKind: kind };
  const metadata = isRecord(value.metadata) ? value.metadata : {};
  const { name, namespace = 'default' } = metadata;
  if (typeof name !== 'string' || typeof namespace !== 'string') return invalid(['metadata'], `${kind} needs a metadata.name`);
  const ref = refKey({ kind, namespace, name });
  if (kind === 'Secret') {
    const parsed = parseSecretManifest(value, { namespace, name });
    return parsed.kind === 'secret' ? { kind: 'secret', ref, secret: parsed.secret } : { kind: 'invalid', ref, problems: [parsed] };
  }
  const parsed = parseResource(asStored(value, metadata, namespace));
  return parsed.ok ? { kind: 'resource', ref, resource: parsed.resource } : { kind: 'invalid', ref, problems: parsed.problems };
}

function isResourceKind(kind: string): kind is ResourceKind {
  return kind === 'SftpEndpoint' || kind === 'SftpUser' || kind === 'EventRoute';
}

/**
 * The object as an API server would hand it out: what only the server sets is set here, and later by the folder's own record.
 * A file made by `kubectl get -o yaml` brings a status and server-side metadata; those are left out, other fields are judged.
 */
function asStored(value: Record<string, unknown>, metadata: Record<string, unknown>, namespace: string): unknown {
  const { status: _status, ...object } = value;
  const { labels, annotations, name } = metadata;
  return {
    ...object,
    metadata: {
      name,
      namespace,
      uid: 'unset',
      generation: 1,
      creationTimestamp: '1970-01-01T00:00:00Z',
      ...(labels === undefined || labels === null ? {} : { labels }),
      ...(annotations === undefined || annotations === null ? {} : { annotations }),
    },
  };
}
