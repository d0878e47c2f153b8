import type { SftpEndpointSpec } from '@skiff/model/sftp-endpoint';
import { type Json, manifest, type WorkloadManifest, type WorkloadOwner } from './manifest.ts';
import { HEALTH_PORT } from './pod-template.ts';
import { type Component, selectorLabels, workloadName } from './workload-names.ts';

/** Where the SFTP server listens inside its pod: a port that needs no privilege. */
export const SFTP_PORT = 2222;

export function sftpService(owner: WorkloadOwner, spec: SftpEndpointSpec): WorkloadManifest {
  const { port = 22, type = 'LoadBalancer', externalTrafficPolicy = 'Local', loadBalancerSourceRanges, annotations } = spec.service ?? {};
  const props = { apiVersion: 'v1', kind: 'Service', name: workloadName(owner.name), component: 'sftp-server' as const };
  return manifest(
    owner,
    { ...props, ...(annotations === undefined ? {} : { annotations }) },
    {
      spec: {
        type,
        selector: selectorLabels(owner.name, 'sftp-server'),
        ports: [{ name: 'sftp', port, targetPort: 'sftp', protocol: 'TCP' }],
        // The API server refuses these for types that know nothing of them.
        ...(type === 'ClusterIP' ? {} : { externalTrafficPolicy }),
        ...(type === 'LoadBalancer' && loadBalancerSourceRanges !== undefined ? { loadBalancerSourceRanges: asRanges(loadBalancerSourceRanges) } : {}),
      },
    },
  );
}

/** A Service takes ranges only, no single addresses. */
function asRanges(ranges: readonly string[]): readonly string[] {
  return ranges.map((range) => (range.includes('/') ? range : `${range}/${range.includes(':') ? 128 : 32}`));
}

/** Whence tokens of the node's own identity come: pods have an identity of their own and no business there. */
const METADATA_SERVICES = ['169.254.169.254/32', '168.63.129.16/32'];

export function networkPolicy(owner: WorkloadOwner, component: Component, name: string): WorkloadManifest {
  const ports = [...(component === 'sftp-server' ? [SFTP_PORT] : []), HEALTH_PORT];
  return manifest(
    owner,
    { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name, component },
    {
      spec: {
        podSelector: { matchLabels: selectorLabels(owner.name, component) },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ ports: ports.map((port) => ({ protocol: 'TCP', port })) }],
        egress: [{ to: destinations() }],
      },
    },
  );
}

/** Everything but the metadata services. Some plugins do not count pods as addresses, so these are named apart. */
function destinations(): readonly Json[] {
  return [
    { namespaceSelector: {} },
    { ipBlock: { cidr: '0.0.0.0/0', except: METADATA_SERVICES } },
    { ipBlock: { cidr: '::/0', except: ['fd00:ec2::254/128'] } },
  ];
}
