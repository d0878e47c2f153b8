import type { ConditionReason } from '@skiff/model/condition';
import { objectKey } from '@skiff/model/object-meta';
import type { SftpEndpoint, SftpEndpointSpec } from '@skiff/model/sftp-endpoint';
import type { SftpUserSpec } from '@skiff/model/sftp-user';
import type { Obstacle } from './complete-conditions.ts';

type Hidden = Extract<ConditionReason, 'ClientAddressRewritten' | 'TrafficPolicyCluster'>;

/** Why pods do not see whence a connection comes; undefined: they do, as far as the spec tells. */
function hiddenBy({ service = {} }: SftpEndpointSpec): Hidden | undefined {
  if (service.clientAddress !== undefined) return service.clientAddress === 'Rewritten' ? 'ClientAddressRewritten' : undefined;
  return service.type !== 'ClusterIP' && service.externalTrafficPolicy === 'Cluster' ? 'TrafficPolicyCluster' : undefined;
}

/** What the endpoint's owner is told. */
export function hiddenClientAddress({ spec }: SftpEndpoint): Obstacle | undefined {
  const reason = hiddenBy(spec);
  switch (reason) {
    case undefined:
      return undefined;
    case 'ClientAddressRewritten':
      return {
        reason,
        message:
          'pods see the address of the firewall, not of the client: spec.allowedSourceRanges is whom pods take connections from, and the allowedSourceRanges of users are for the firewall to enforce, by their union',
      };
    case 'TrafficPolicyCluster':
      return {
        reason,
        message:
          "pods may see the address of a node in place of the client's (externalTrafficPolicy: Cluster), and judge source ranges by it: choose Local; or, where this network keeps the address, set spec.service.clientAddress: Preserved",
      };
  }
}

/** What the owner of a user with ranges is told. */
export function unjudgedRanges({ allowedSourceRanges }: SftpUserSpec, endpoint: SftpEndpoint): Obstacle | undefined {
  // An empty list admits nobody, which needs no address.
  if (allowedSourceRanges === undefined || allowedSourceRanges.length === 0) return undefined;
  const key = objectKey(endpoint.metadata);
  const reason = hiddenBy(endpoint.spec);
  switch (reason) {
    case undefined:
      return undefined;
    case 'ClientAddressRewritten':
      return {
        reason,
        message: `allowedSourceRanges cannot be judged by SftpEndpoint ${key}, whose pods see the address of a firewall: have the firewall admit these ranges; the user can then come in from every address that the firewall admits`,
      };
    case 'TrafficPolicyCluster':
      return {
        reason,
        message: `allowedSourceRanges is judged by the address of a node, not of the client, where SftpEndpoint ${key} has externalTrafficPolicy: Cluster, and may refuse everybody: have it changed to Local`,
      };
  }
}
