import type { ObjectRef } from './kube-object.ts';

/** What the API server calls a resource: enough to build its paths and to name it in a manifest. */
export interface ResourceType {
  /** `v1`, or `group/version`. */
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

/** Path of a collection; without `namespace`, over all namespaces. */
export function collectionPath(type: ResourceType, namespace?: string): string {
  const root = type.apiVersion.includes('/') ? `/apis/${type.apiVersion}` : `/api/${type.apiVersion}`;
  return namespace === undefined ? `${root}/${type.plural}` : `${root}/namespaces/${encodeURIComponent(namespace)}/${type.plural}`;
}

/** @throws {RangeError} when the namespace is missing for a namespaced type or given for a cluster-wide one. */
export function objectPath(type: ResourceType, ref: ObjectRef, subresource?: 'status'): string {
  if (type.namespaced !== (ref.namespace !== undefined)) throw new RangeError(`${type.kind} ${ref.name}: namespace ${type.namespaced ? 'missing' : 'given'}`);
  const path = `${collectionPath(type, ref.namespace)}/${encodeURIComponent(ref.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

const inNamespaces = (apiVersion: string, kind: string, plural: string): ResourceType => ({ apiVersion, kind, plural, namespaced: true });
const clusterWide = (apiVersion: string, kind: string, plural: string): ResourceType => ({ apiVersion, kind, plural, namespaced: false });

export const ConfigMaps = inNamespaces('v1', 'ConfigMap', 'configmaps');
export const Secrets = inNamespaces('v1', 'Secret', 'secrets');
export const ServiceAccounts = inNamespaces('v1', 'ServiceAccount', 'serviceaccounts');
export const Services = inNamespaces('v1', 'Service', 'services');
export const Pods = inNamespaces('v1', 'Pod', 'pods');
export const Namespaces = clusterWide('v1', 'Namespace', 'namespaces');
export const Deployments = inNamespaces('apps/v1', 'Deployment', 'deployments');
export const PodDisruptionBudgets = inNamespaces('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets');
export const HorizontalPodAutoscalers = inNamespaces('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers');
export const NetworkPolicies = inNamespaces('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies');
export const Leases = inNamespaces('coordination.k8s.io/v1', 'Lease', 'leases');
export const Events = inNamespaces('events.k8s.io/v1', 'Event', 'events');
export const CustomResourceDefinitions = clusterWide('apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'customresourcedefinitions');
export const SftpEndpoints = inNamespaces('skiff.dev/v1alpha1', 'SftpEndpoint', 'sftpendpoints');
export const SftpUsers = inNamespaces('skiff.dev/v1alpha1', 'SftpUser', 'sftpusers');
export const EventRoutes = inNamespaces('skiff.dev/v1alpha1', 'EventRoute', 'eventroutes');
