import type { KubeObject } from '@skiff/kube/kube-object';
import { isRecord } from '@skiff/model/is-record';
import type { EndpointReadiness } from '../endpoint-sink.ts';

export interface RunningObjects {
  readonly service: KubeObject | undefined;
  readonly deployments: readonly KubeObject[];
}

/** Whether an endpoint runs as it should, by what Kubernetes says of its Deployments and its Service. Pure. */
export function evaluateReadiness({ service, deployments }: RunningObjects): EndpointReadiness {
  const address = service === undefined ? undefined : addressOf(service);
  const known = address === undefined ? {} : { address };
  const states = deployments.map(rollout);
  const failed = states.find(({ kind }) => kind === 'failed');
  if (failed !== undefined) return { kind: 'notReady', reason: 'WorkloadFailed', message: failed.message, ...known };
  const pending = states.find(({ kind }) => kind === 'pending');
  if (pending !== undefined) return { kind: 'notReady', reason: 'Pending', message: pending.message, ...known };
  if (address === undefined) {
    const name = service === undefined ? 'the Service' : `Service ${service.metadata.name}`;
    return { kind: 'notReady', reason: 'Pending', message: `${name} has no address of a load balancer yet: kubectl describe service says what it waits for` };
  }
  return { kind: 'ready', address };
}

type Rollout = { readonly kind: 'done' | 'pending' | 'failed'; readonly message: string };

/** As `kubectl rollout status`, but a pod that is restarted later makes nothing unready: one that serves is enough. */
function rollout(deployment: KubeObject): Rollout {
  const { name, generation = 0 } = deployment.metadata;
  const status = isRecord(deployment.status) ? deployment.status : {};
  const wanted = numberAt(deployment.spec, 'replicas');
  const [observed, updated, all, available] = ['observedGeneration', 'updatedReplicas', 'replicas', 'availableReplicas'].map((field) =>
    numberAt(status, field),
  );
  const trouble = conditionsOf(status).find(
    ({ type, status: state }) => (type === 'ReplicaFailure' && state === 'True') || (type === 'Progressing' && state === 'False'),
  );
  if (trouble !== undefined) return { kind: 'failed', message: `Deployment ${name}: ${trouble.message}` };
  if ((observed ?? 0) < generation || (updated ?? 0) < (wanted ?? 1) || (all ?? 0) > (updated ?? 0))
    return { kind: 'pending', message: `Deployment ${name} is being rolled out: ${updated ?? 0} of ${wanted ?? 1} pods are new` };
  if ((available ?? 0) === 0) return { kind: 'pending', message: `Deployment ${name} has no pod that is ready: kubectl describe pod says why` };
  return { kind: 'done', message: '' };
}

function conditionsOf(status: Readonly<Record<string, unknown>>): readonly { readonly type: string; readonly status: string; readonly message: string }[] {
  const conditions = Array.isArray(status.conditions) ? status.conditions : [];
  return conditions
    .filter(isRecord)
    .map((condition) => ({ type: String(condition.type), status: String(condition.status), message: String(condition.message ?? '') }));
}

function addressOf(service: KubeObject): string | undefined {
  const spec = isRecord(service.spec) ? service.spec : {};
  if (spec.type !== 'LoadBalancer') return `${service.metadata.name}.${service.metadata.namespace ?? ''}.svc`;
  const balancer = isRecord(service.status) && isRecord(service.status.loadBalancer) ? service.status.loadBalancer : {};
  const first: unknown = Array.isArray(balancer.ingress) ? balancer.ingress[0] : undefined;
  if (!isRecord(first)) return undefined;
  return typeof first.ip === 'string' ? first.ip : typeof first.hostname === 'string' ? first.hostname : undefined;
}

function numberAt(value: unknown, field: string): number | undefined {
  const found = isRecord(value) ? value[field] : undefined;
  return typeof found === 'number' ? found : undefined;
}
