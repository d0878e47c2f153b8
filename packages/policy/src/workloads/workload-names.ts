import { createHash } from 'node:crypto';
import { API_GROUP } from '@skiff/model/object-meta';

/** Names a Service may have (RFC 1035 label), with room for the longest suffix. */
const MAX_BASE_LENGTH = 44;

/** What the objects of an endpoint are called: `skiff-<endpoint>`. Names that no Service could have are shortened and told apart by a digest. */
export function workloadName(endpoint: string): string {
  const plain = `skiff-${endpoint}`;
  if (plain.length <= MAX_BASE_LENGTH && /^[a-z0-9-]+$/.test(plain)) return plain;
  const digest = createHash('sha256').update(endpoint).digest('hex').slice(0, 8);
  return `${plain.replaceAll('.', '-').slice(0, MAX_BASE_LENGTH - digest.length - 1)}-${digest}`;
}

export const routerName = (endpoint: string): string => `${workloadName(endpoint)}-router`;
export const hostKeySecretName = (endpoint: string): string => `${workloadName(endpoint)}-host-keys`;
export const databaseSecretName = (endpoint: string): string => `${workloadName(endpoint)}-database`;
export const DATABASE_SECRET_KEY = 'url';
export const routeSecretName = (endpoint: string): string => `${workloadName(endpoint)}-route-secrets`;

export type Component = 'sftp-server' | 'router';

/** Marks every object that the operator has made; what it watches by. */
export const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'skiff-operator' } as const;
/** On every object: the endpoint's name, which a label could not always hold. */
export const ENDPOINT_ANNOTATION = `${API_GROUP}/endpoint`;

/** What a Service and a Deployment select pods by; never changes. */
export function selectorLabels(endpoint: string, component: Component): Readonly<Record<string, string>> {
  return { 'app.kubernetes.io/name': 'skiff', 'app.kubernetes.io/instance': workloadName(endpoint), 'app.kubernetes.io/component': component };
}

export function objectLabels(endpoint: string, component: Component | 'endpoint'): Readonly<Record<string, string>> {
  return {
    'app.kubernetes.io/name': 'skiff',
    'app.kubernetes.io/instance': workloadName(endpoint),
    'app.kubernetes.io/component': component,
    ...MANAGED_BY,
  };
}
