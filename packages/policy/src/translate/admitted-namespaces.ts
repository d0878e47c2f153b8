import type { SftpEndpoint, SftpEndpointSpec } from '@skiff/model/sftp-endpoint';

/** Labels of a namespace; undefined: there is no such namespace, or nobody knows. */
export type NamespaceLabels = (namespace: string) => Readonly<Record<string, string>> | undefined;

/** What every namespace of a cluster carries, and all that a folder of manifests knows of one. */
export const nameAsLabel: NamespaceLabels = (namespace) => ({ 'kubernetes.io/metadata.name': namespace });

type Admission = NonNullable<NonNullable<SftpEndpointSpec['allowedUsers']>['namespaces']>;
type Selector = NonNullable<Admission['selector']>;
type Requirement = NonNullable<Selector['matchExpressions']>[number];

/** Whether users and routes of a namespace may name the endpoint. Pure. */
export function admitsNamespace(endpoint: SftpEndpoint, namespace: string, labelsOf: NamespaceLabels): boolean {
  if (namespace === endpoint.metadata.namespace) return true;
  const { from = 'Same', selector } = endpoint.spec.allowedUsers?.namespaces ?? {};
  switch (from) {
    case 'Same':
      return false;
    case 'All':
      return true;
    case 'Selector': {
      const labels = labelsOf(namespace);
      return selector !== undefined && labels !== undefined && matchesSelector(selector, labels);
    }
  }
}

/** `metav1.LabelSelector`: all of it must hold, and an empty one matches everything. */
function matchesSelector({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(matchLabels).every(([key, value]) => labelOf(labels, key) === value) && matchExpressions.every((one) => matches(one, labels));
}

function matches({ key, operator, values = [] }: Requirement, labels: Readonly<Record<string, string>>): boolean {
  const value = labelOf(labels, key);
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

function labelOf(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
