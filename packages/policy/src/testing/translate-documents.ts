import assert from 'node:assert/strict';
import type { EventRoute } from '@skiff/model/event-route';
import { objectKey } from '@skiff/model/object-meta';
import { parseResource, type SftpResource } from '@skiff/model/parse-resource';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { SftpUser } from '@skiff/model/sftp-user';
import { completeConditions, type Verdict } from '../translate/complete-conditions.ts';
import { endpointKeyOf, endpointNotFound } from '../translate/endpoint-ref.ts';
import { translateRoutes } from '../translate/translate-routes.ts';
import { translateUsers } from '../translate/translate-users.ts';
import type { SecretLookup } from '../translate/user-credentials.ts';

const NOW = new Date('2026-06-01T12:00:00Z');
/** In the input: `kind: Secret` with `stringData`, or with `accessNotGranted: <hint>` in its place. */
interface SecretInput {
  readonly kind: 'Secret';
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly stringData?: Readonly<Record<string, string>>;
  readonly accessNotGranted?: string;
}

function lookUpIn(secrets: readonly SecretInput[], namespace: string, name: string, key: string): SecretLookup {
  const secret = secrets.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
  if (secret === undefined) return { kind: 'secretNotFound' };
  if (secret.accessNotGranted !== undefined) return { kind: 'accessNotGranted', hint: secret.accessNotGranted };
  const value = secret.stringData?.[key];
  return value === undefined ? { kind: 'keyNotFound' } : { kind: 'found', value: { reveal: () => value } };
}

/** The rules of the real parsers are tested with them; here it matters what follows from their answers. */
function readPublicKey(line: string) {
  const [algorithm, blob] = line.split(' ');
  return algorithm === 'ssh-ed25519' && blob !== undefined ? { ok: true as const, blob } : { ok: false as const, reason: `${algorithm} is not supported` };
}

function read(documents: readonly unknown[]): { readonly resources: readonly SftpResource[]; readonly secrets: readonly SecretInput[] } {
  const resources: SftpResource[] = [];
  const secrets: SecretInput[] = [];
  for (const document of documents) {
    if (isSecret(document)) secrets.push(document);
    else resources.push(readResource(document));
  }
  return { resources, secrets };
}

function isSecret(document: unknown): document is SecretInput {
  return typeof document === 'object' && document !== null && 'kind' in document && document.kind === 'Secret';
}

function readResource(document: unknown): SftpResource {
  const { metadata, ...rest } = document as { metadata: object };
  const defaults = { uid: 'uid', generation: 3, creationTimestamp: '2026-01-01T00:00:00Z' };
  const parsed = parseResource({ apiVersion: 'skiff.dev/v1alpha1', ...rest, metadata: { ...defaults, ...metadata } });
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.errors.join('\n'));
  return parsed.resource;
}

/** What becomes of endpoints with their users, routes and Secrets: rows and conditions. */
export function translateDocuments(documents: readonly unknown[]): unknown {
  const { resources, secrets } = read(documents);
  const endpoints = resources.filter((resource): resource is SftpEndpoint => resource.kind === 'SftpEndpoint');
  const users = resources.filter((resource): resource is SftpUser => resource.kind === 'SftpUser');
  const routes = resources.filter((resource): resource is EventRoute => resource.kind === 'EventRoute');
  const passwords = {
    lookUp: (namespace: string, name: string, key: string) => lookUpIn(secrets, namespace, name, key),
    problemOf: (hash: string) => (hash.startsWith('$argon2id$') ? undefined : 'it does not start with $argon2id$'),
  };
  const known = new Set(endpoints.map((endpoint) => objectKey(endpoint.metadata)));
  const orphans = [...users, ...routes].filter((resource) => !known.has(endpointKeyOf(resource)));
  return {
    endpoints: endpoints.map((endpoint) => {
      const translated = translateUsers({ endpoint, users, readPublicKey, passwords, now: NOW });
      const translatedRoutes = translateRoutes({ endpoint, routes, secrets: passwords });
      return {
        endpoint: objectKey(endpoint.metadata),
        revisitAt: translated.revisitAt?.toISOString() ?? null,
        users: translated.users.map(({ user, row, verdict }) => outcome(objectKey(user.metadata), row, verdict)),
        routes: translatedRoutes.map(({ route, row, verdict }) => outcome(objectKey(route.metadata), row, verdict)),
      };
    }),
    orphans: orphans.map((resource) => outcome(objectKey(resource.metadata), undefined, endpointNotFound(resource))),
  };
}

function outcome(object: string, row: unknown, verdict: Verdict): unknown {
  const conditions = completeConditions(verdict, { status: 'True' });
  return {
    object,
    row: row ?? null,
    conditions: conditions.map(({ type, status, reason, message, observedGeneration }) => `${type}=${status} ${reason} @${observedGeneration}: ${message}`),
  };
}
