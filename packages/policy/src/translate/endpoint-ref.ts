import type { EventRoute } from '@skiff/model/event-route';
import { objectKey } from '@skiff/model/object-meta';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { SftpUser } from '@skiff/model/sftp-user';
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

/** An endpoint takes objects of its own namespace. */
export function notAllowedByEndpoint(resource: SftpUser | EventRoute, endpoint: SftpEndpoint): Obstacle | undefined {
  if (resource.metadata.namespace === endpoint.metadata.namespace) return undefined;
  return {
    reason: 'NotAllowedByEndpoint',
    message: `SftpEndpoint ${objectKey(endpoint.metadata)} takes objects of its own namespace only: move this one to ${endpoint.metadata.namespace}`,
  };
}

/** Oldest first; `namespace/name` decides between objects of one second. */
export function byAge(left: SftpUser, right: SftpUser): number {
  const age = Date.parse(left.metadata.creationTimestamp) - Date.parse(right.metadata.creationTimestamp);
  if (age !== 0) return age;
  return objectKey(left.metadata) < objectKey(right.metadata) ? -1 : 1;
}
