import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import type { SftpEndpointSpec } from '@skiff/model/sftp-endpoint';
import { routerDeployment, sftpDeployment } from './deployments.ts';
import { manifest, type WorkloadManifest, type WorkloadOwner } from './manifest.ts';
import { networkPolicy, SFTP_PORT, sftpService } from './network.ts';
import { DATABASE_CA_KEY, SETTINGS_KEY, TRUSTED_CA_KEY } from './pod-template.ts';
import type { WorkloadContext } from './workload-context.ts';
import { type Component, routerName, selectorLabels, workloadName } from './workload-names.ts';

export type { WorkloadManifest } from './manifest.ts';

export interface WorkloadInput {
  readonly owner: WorkloadOwner;
  readonly spec: SftpEndpointSpec;
  readonly settings: EndpointSettings;
  readonly context: WorkloadContext;
  /** Replicas of the SFTP Deployment as it is; undefined: there is none. An autoscaler's choice is kept within its bounds. */
  readonly currentReplicas: number | undefined;
}

const DEFAULT_REPLICAS = 2;
const DEFAULT_MIN_REPLICAS = 2;
const DEFAULT_CPU_PERCENT = 70;

/** Everything that one endpoint needs in a cluster, but for Secrets. Pure. In the order in which it is to be made. */
export function planWorkloads(input: WorkloadInput): readonly WorkloadManifest[] {
  const { owner, spec, settings, context } = input;
  const name = workloadName(owner.name);
  const router = routerName(owner.name);
  const routed = settings.events !== null;
  return [
    serviceAccount(input),
    configMap(input),
    sftpService(owner, spec),
    networkPolicy(owner, 'sftp-server', name),
    ...(routed ? [networkPolicy(owner, 'router', router)] : []),
    disruptionBudget(owner, 'sftp-server', name),
    ...(routed ? [disruptionBudget(owner, 'router', router)] : []),
    sftpDeployment({ owner, spec, settings, context }, replicas(input)),
    ...(routed ? [routerDeployment({ owner, spec, settings, context })] : []),
    ...(spec.autoscaling === undefined ? [] : [autoscaler(owner, spec.autoscaling)]),
  ];
}

/**
 * With an autoscaler the present number is stated rather than left out: a field that vanishes from a server-side apply falls back to
 * its default, and one replica would be left for a moment.
 */
function replicas({ spec, currentReplicas }: WorkloadInput): number {
  const { autoscaling } = spec;
  if (autoscaling === undefined) return spec.replicas ?? DEFAULT_REPLICAS;
  const min = autoscaling.minReplicas ?? DEFAULT_MIN_REPLICAS;
  return Math.min(Math.max(currentReplicas ?? min, min), autoscaling.maxReplicas);
}

function serviceAccount({ owner, spec, context }: WorkloadInput): WorkloadManifest {
  const clientId = spec.identity?.clientId ?? context.identity.clientId;
  const annotations = clientId === undefined ? {} : { annotations: { 'azure.workload.identity/client-id': clientId } };
  const props = { apiVersion: 'v1', kind: 'ServiceAccount', name: workloadName(owner.name), component: 'endpoint' as const, ...annotations };
  return manifest(owner, props, { automountServiceAccountToken: false });
}

function configMap({ owner, settings, context }: WorkloadInput): WorkloadManifest {
  const { certificates } = context;
  const inPod: EndpointSettings = { ...settings, port: SFTP_PORT };
  return manifest(
    owner,
    { apiVersion: 'v1', kind: 'ConfigMap', name: workloadName(owner.name), component: 'endpoint' },
    {
      data: {
        [SETTINGS_KEY]: `${JSON.stringify(inPod, undefined, 2)}\n`,
        ...(certificates.database === undefined ? {} : { [DATABASE_CA_KEY]: certificates.database }),
        ...(certificates.trusted === undefined ? {} : { [TRUSTED_CA_KEY]: certificates.trusted }),
      },
    },
  );
}

function disruptionBudget(owner: WorkloadOwner, component: Component, name: string): WorkloadManifest {
  return manifest(
    owner,
    { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', name, component },
    // A pod that is not ready protects nobody: it must not hold up the draining of its node.
    { spec: { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow', selector: { matchLabels: selectorLabels(owner.name, component) } } },
  );
}

function autoscaler(owner: WorkloadOwner, autoscaling: NonNullable<SftpEndpointSpec['autoscaling']>): WorkloadManifest {
  const name = workloadName(owner.name);
  return manifest(
    owner,
    { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', name, component: 'sftp-server' },
    {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
        minReplicas: autoscaling.minReplicas ?? DEFAULT_MIN_REPLICAS,
        maxReplicas: autoscaling.maxReplicas,
        metrics: [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: autoscaling.targetCpuUtilizationPercent ?? DEFAULT_CPU_PERCENT } },
          },
        ],
      },
    },
  );
}
