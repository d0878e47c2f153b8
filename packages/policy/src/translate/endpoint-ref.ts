import type { EventRoute } from '@skiff/model/event-route';
import { objectKey } from '@skiff/model/object-meta';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { SftpUser } from '@skiff/model/sftp-user';
import { admitsNamespace, type NamespaceLabels, nameAsLabel } from './admitted-namespaces.ts';
import type { Obstacle, Verdict } from './complete-conditions.ts';

/** `namespace/name` of the endpoint that a user or a route names. */
export function endpointKeyOf(resource: SftpUser | EventRoute): string {
  const { name, namespace } = resource.spec.endpointRef;
  return objectKey({ name, namespace: namespace ?? resource.metadata.namespace });
}

/** For objects whose endpoint does not exist. */
export function endpointNotFound(resource: SftpUser | EventRoute): Verdict {
  const message = `there is no SftpEndpoint ${endpointKeyOf(resource)}: create it, or correct spec.endpointRef`;
  return {
    observedGeneration: resource.metadata.generation,
    refused: undefined,
    unresolved: { reason: 'EndpointNotFound', message },
    notReady: undefined,
    inForce: false,
  };
}

/** Cross-namespace attachment needs both sides: the object names the endpoint, and the endpoint's `allowedUsers` admits its namespace. */
export function notAllowedByEndpoint(resource: SftpUser | EventRoute, endpoint: SftpEndpoint, labelsOf: NamespaceLabels = nameAsLabel): Obstacle | undefined {
  const { namespace } = resource.metadata;
  if (admitsNamespace(endpoint, namespace, labelsOf)) return undefined;
  return {
    reason: 'NotAllowedByEndpoint',
    message: `SftpEndpoint ${objectKey(endpoint.metadata)} admits nothing from the namespace ${namespace}: have its spec.allowedUsers.namespaces admit it, or move this object`,
  };
}

/** Oldest first; `namespace/name` decides between objects of one second. */
export function byAge(left: SftpUser, right: SftpUser): number {
  const age = Date.parse(left.metadata.creationTimestamp) - Date.parse(right.metadata.creationTimestamp);
  if (age !== 0) return age;
  return objectKey(left.metadata) < objectKey(right.metadata) ? -1 : 1;
}
