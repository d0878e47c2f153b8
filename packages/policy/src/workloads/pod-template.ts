import { createHash } from 'node:crypto';
import type { Json } from './manifest.ts';
import type { WorkloadContext } from './workload-context.ts';
import { type Component, DATABASE_SECRET_KEY, databaseSecretName, selectorLabels, workloadName } from './workload-names.ts';

/** Port of health and metrics in every pod. */
export const HEALTH_PORT = 8081;
/** Where the endpoint's settings are mounted. */
const SETTINGS_DIRECTORY = '/etc/skiff/endpoint';
export const SETTINGS_KEY = 'endpoint.json';
const TOKEN_DIRECTORY = '/var/run/secrets/azure/tokens';
const TOKEN_FILE = 'azure-identity-token';
export const DATABASE_CA_KEY = 'database.pem';
export const TRUSTED_CA_KEY = 'trusted.pem';
/** New connections still come for a moment after a pod was told to end: load balancers learn of it later than it does. */
const PRE_STOP_SECONDS = 10;
/** To park uploads, sign off and end, after the grace for sessions. */
const STOP_MARGIN_SECONDS = 20;

export interface PodProps {
  readonly endpoint: string;
  readonly component: Component;
  readonly identity: { readonly clientId: string | undefined; readonly tenantId: string | undefined };
  readonly graceSeconds: number;
  readonly environment: readonly EnvironmentVariable[];
  readonly ports: readonly Json[];
  readonly volumes: readonly Json[];
  readonly volumeMounts: readonly Json[];
  readonly resources: Json;
  /** What the program reads at its start only: a change rolls the Deployment. */
  readonly fixedSettings: unknown;
  readonly fsGroup: number | undefined;
}

export type EnvironmentVariable = { readonly name: string; readonly value: string } | { readonly name: string; readonly valueFrom: Json };

/** A pod under the Pod Security Standard `restricted`, without a token for the Kubernetes API. */
export function podTemplate(props: PodProps, context: WorkloadContext): Json {
  const labels = selectorLabels(props.endpoint, props.component);
  const identity = identityParts(props, context);
  return {
    metadata: { labels, annotations: { 'skiff.dev/settings': digest([props.fixedSettings, context.certificates, context.database]) } },
    spec: {
      serviceAccountName: workloadName(props.endpoint),
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: PRE_STOP_SECONDS + props.graceSeconds + STOP_MARGIN_SECONDS,
      ...(context.imagePullSecrets.length === 0 ? {} : { imagePullSecrets: context.imagePullSecrets.map((name) => ({ name })) }),
      securityContext: {
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
        ...(props.fsGroup === undefined ? {} : { fsGroup: props.fsGroup, fsGroupChangePolicy: 'OnRootMismatch' }),
      },
      topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map((topologyKey) => ({
        maxSkew: 1,
        topologyKey,
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: labels },
      })),
      containers: [container(props, context, identity)],
      volumes: [{ name: 'endpoint', configMap: { name: workloadName(props.endpoint), defaultMode: READABLE } }, ...props.volumes, ...identity.volumes],
    },
  };
}

/** 0444: whatever user the pod runs as, and it is alone in its pod. */
export const READABLE = 0o444;

interface PodPart {
  readonly environment: readonly EnvironmentVariable[];
  readonly volumes: readonly Json[];
  readonly mounts: readonly Json[];
}

const NOTHING: PodPart = { environment: [], volumes: [], mounts: [] };

function container(props: PodProps, context: WorkloadContext, identity: PodPart): Json {
  const own: readonly EnvironmentVariable[] = [
    { name: 'SKIFF_ENDPOINT_FILE', value: `${SETTINGS_DIRECTORY}/${SETTINGS_KEY}` },
    { name: 'SKIFF_HEALTH_PORT', value: String(HEALTH_PORT) },
    { name: 'SKIFF_DRAIN_GRACE_SECONDS', value: String(props.graceSeconds) },
    { name: 'SKIFF_LOG_LEVEL', value: context.logLevel },
    databaseVariable(props, context),
    ...props.environment,
    ...identity.environment,
    ...certificateVariables(context),
  ];
  const taken = new Set(own.map(({ name }) => name));
  const further = Object.entries(context.environment).filter(([name]) => !taken.has(name));
  return {
    name: props.component,
    image: context.image,
    imagePullPolicy: context.imagePullPolicy,
    args: [props.component],
    env: [...own, ...further.map(([name, value]) => ({ name, value }))],
    ports: [...props.ports, { name: 'health', containerPort: HEALTH_PORT, protocol: 'TCP' }],
    startupProbe: { ...probe('/healthz', 2), failureThreshold: 60 },
    readinessProbe: probe('/readyz', 5),
    livenessProbe: probe('/healthz', 10),
    lifecycle: { preStop: { sleep: { seconds: PRE_STOP_SECONDS } } },
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, readOnlyRootFilesystem: true },
    resources: props.resources,
    volumeMounts: [{ name: 'endpoint', mountPath: SETTINGS_DIRECTORY, readOnly: true }, ...props.volumeMounts, ...identity.mounts],
  };
}

function probe(path: string, periodSeconds: number): Json {
  return { httpGet: { path, port: 'health' }, periodSeconds, timeoutSeconds: 5, failureThreshold: 3 };
}

function databaseVariable({ endpoint }: PodProps, { database }: WorkloadContext): EnvironmentVariable {
  const name = 'SKIFF_DATABASE_URL';
  if (database.kind === 'url') return { name, value: database.url };
  return { name, valueFrom: { secretKeyRef: { name: databaseSecretName(endpoint), key: DATABASE_SECRET_KEY } } };
}

function certificateVariables({ certificates }: WorkloadContext): readonly EnvironmentVariable[] {
  return [
    ...(certificates.trusted === undefined ? [] : [{ name: 'NODE_EXTRA_CA_CERTS', value: `${SETTINGS_DIRECTORY}/${TRUSTED_CA_KEY}` }]),
    ...(certificates.database === undefined ? [] : [{ name: 'SKIFF_DATABASE_CA_FILE', value: `${SETTINGS_DIRECTORY}/${DATABASE_CA_KEY}` }]),
  ];
}

/** Workload identity without the webhook of AKS, which may be absent elsewhere and cannot be waited for: the same variables, the same token. */
function identityParts({ identity }: PodProps, context: WorkloadContext): PodPart {
  const { clientId, tenantId } = identity;
  if (clientId === undefined || tenantId === undefined) return NOTHING;
  return {
    environment: [
      { name: 'AZURE_CLIENT_ID', value: clientId },
      { name: 'AZURE_TENANT_ID', value: tenantId },
      { name: 'AZURE_FEDERATED_TOKEN_FILE', value: `${TOKEN_DIRECTORY}/${TOKEN_FILE}` },
      ...(context.authorityHost === undefined ? [] : [{ name: 'AZURE_AUTHORITY_HOST', value: context.authorityHost }]),
    ],
    volumes: [
      {
        name: 'azure-identity-token',
        projected: {
          defaultMode: READABLE,
          sources: [{ serviceAccountToken: { audience: 'api://AzureADTokenExchange', expirationSeconds: 3600, path: TOKEN_FILE } }],
        },
      },
    ],
    mounts: [{ name: 'azure-identity-token', mountPath: TOKEN_DIRECTORY, readOnly: true }],
  };
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}
