import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import type { SftpEndpointSpec } from '@skiff/model/sftp-endpoint';
import { type Json, manifest, type WorkloadManifest, type WorkloadOwner } from './manifest.ts';
import { SFTP_PORT } from './network.ts';
import { type EnvironmentVariable, podTemplate, READABLE } from './pod-template.ts';
import { fixedSettings } from './reloadable-settings.ts';
import type { WorkloadContext } from './workload-context.ts';
import { type Component, hostKeySecretName, routerName, routeSecretName, selectorLabels, workloadName } from './workload-names.ts';

const DEFAULT_GRACE_SECONDS = 600;
/** Deliveries under way are parked in the database, not waited for. */
const ROUTER_GRACE_SECONDS = 30;
const ROUTER_REPLICAS = 2;
const HOST_KEY_DIRECTORY = '/etc/skiff/host-keys';
const ROUTE_SECRET_DIRECTORY = '/etc/skiff/route-secrets';
const EVENT_BUS_DIRECTORY = '/etc/skiff/event-bus';
const DATA_VOLUME = 'data';

/** P7: 200 transfers in 512 MiB; the rest is room for what V8 has not collected yet. */
const SFTP_RESOURCES = { requests: { cpu: '250m', memory: '256Mi' }, limits: { memory: '768Mi' } };
const ROUTER_RESOURCES = { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '384Mi' } };

export interface DeploymentProps {
  readonly owner: WorkloadOwner;
  readonly spec: SftpEndpointSpec;
  readonly settings: EndpointSettings;
  readonly context: WorkloadContext;
}

export function sftpDeployment(props: DeploymentProps, replicas: number): WorkloadManifest {
  const { owner, spec, settings, context } = props;
  const volumes = storageVolumes(settings, spec);
  const bus = eventBusParts(settings);
  const template = podTemplate(
    {
      endpoint: owner.name,
      component: 'sftp-server',
      identity: identityOf(props),
      graceSeconds: spec.drain?.graceSeconds ?? DEFAULT_GRACE_SECONDS,
      environment: [{ name: 'SKIFF_HOST_KEY_FILES', value: HOST_KEY_DIRECTORY }, ...bus.environment],
      ports: [{ name: 'sftp', containerPort: SFTP_PORT, protocol: 'TCP' }],
      volumes: [{ name: 'host-keys', secret: { secretName: hostKeySecretName(owner.name), defaultMode: READABLE } }, ...bus.volumes, ...volumes.volumes],
      volumeMounts: [{ name: 'host-keys', mountPath: HOST_KEY_DIRECTORY, readOnly: true }, ...bus.mounts, ...volumes.mounts],
      resources: SFTP_RESOURCES,
      fixedSettings: fixedSettings(settings),
      fsGroup: volumes.volumes.length === 0 ? undefined : context.fsGroup,
    },
    context,
  );
  return deployment(owner, { name: workloadName(owner.name), component: 'sftp-server', replicas, template });
}

export function routerDeployment(props: DeploymentProps): WorkloadManifest {
  const { owner, settings, context } = props;
  const bus = eventBusParts(settings);
  const template = podTemplate(
    {
      endpoint: owner.name,
      component: 'router',
      identity: identityOf(props),
      graceSeconds: ROUTER_GRACE_SECONDS,
      environment: [{ name: 'SKIFF_ROUTE_SECRETS_DIR', value: ROUTE_SECRET_DIRECTORY }, ...bus.environment],
      ports: [],
      volumes: [{ name: 'route-secrets', secret: { secretName: routeSecretName(owner.name), defaultMode: READABLE, optional: true } }, ...bus.volumes],
      volumeMounts: [{ name: 'route-secrets', mountPath: ROUTE_SECRET_DIRECTORY, readOnly: true }, ...bus.mounts],
      resources: ROUTER_RESOURCES,
      fixedSettings: { storage: settings.storage, events: settings.events },
      fsGroup: undefined,
    },
    context,
  );
  return deployment(owner, { name: routerName(owner.name), component: 'router', replicas: ROUTER_REPLICAS, template });
}

function deployment(
  owner: WorkloadOwner,
  props: { readonly name: string; readonly component: Component; readonly replicas: number; readonly template: Json },
): WorkloadManifest {
  const { name, component, replicas, template } = props;
  return manifest(
    owner,
    { apiVersion: 'apps/v1', kind: 'Deployment', name, component },
    {
      spec: {
        replicas,
        revisionHistoryLimit: 3,
        progressDeadlineSeconds: 600,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        selector: { matchLabels: selectorLabels(owner.name, component) },
        template,
      },
    },
  );
}

function identityOf({ spec, context }: DeploymentProps): WorkloadContext['identity'] {
  return { clientId: spec.identity?.clientId ?? context.identity.clientId, tenantId: spec.identity?.tenantId ?? context.identity.tenantId };
}

function storageVolumes(settings: EndpointSettings, spec: SftpEndpointSpec): { readonly volumes: readonly Json[]; readonly mounts: readonly Json[] } {
  const claimName = spec.storage.local?.volumeClaim;
  if (settings.storage.kind !== 'local' || claimName === undefined) return { volumes: [], mounts: [] };
  return {
    volumes: [{ name: DATA_VOLUME, persistentVolumeClaim: { claimName } }],
    mounts: [{ name: DATA_VOLUME, mountPath: settings.storage.path }],
  };
}

/**
 * The Secrets that the event bus needs, mounted by reference under names of their own. Optional: a pod starts without them, and its events
 * wait until they are there.
 */
function eventBusParts({ events }: EndpointSettings): {
  readonly environment: readonly EnvironmentVariable[];
  readonly volumes: readonly Json[];
  readonly mounts: readonly Json[];
} {
  const refs = events?.kind === 'amqp' ? Object.entries(events.secrets) : [];
  if (refs.length === 0) return { environment: [], volumes: [], mounts: [] };
  const sources = refs.map(([path, { name, key }]) => ({ secret: { name, items: [{ key, path }], optional: true } }));
  return {
    environment: [{ name: 'SKIFF_EVENT_BUS_SECRETS_DIR', value: EVENT_BUS_DIRECTORY }],
    volumes: [{ name: 'event-bus', projected: { defaultMode: READABLE, sources } }],
    mounts: [{ name: 'event-bus', mountPath: EVENT_BUS_DIRECTORY, readOnly: true }],
  };
}
