import type { KubeClient } from '@skiff/kube/kube-client';
import { KubeError } from '@skiff/kube/kube-error';
import { Pods, Services } from '@skiff/kube/resource-type';
import { isRecord } from '@skiff/model/is-record';

/** Selects what the operator has made. */
export const OWNED = 'app.kubernetes.io/managed-by=skiff-operator';
const TIMEOUT_MS = 30_000;

/** Stands in for scheduler, kubelet and cloud: pods become ready, load balancers get an address. */
export async function playKubelet(client: KubeClient, namespaces: readonly string[]): Promise<void> {
  const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: new Date().toISOString() }];
  const played = [
    { type: Pods, query: {}, status: { phase: 'Running', conditions } },
    { type: Services, query: { labelSelector: OWNED }, status: { loadBalancer: { ingress: [{ ip: '192.0.2.10' }] } } },
  ];
  for (const namespace of namespaces) {
    for (const { type, query, status } of played) {
      const { items } = await client.listPage(type, { namespace, ...query, limit: 0, signal: AbortSignal.timeout(TIMEOUT_MS) });
      for (const { metadata, status: before } of items) {
        if (isPlayed(before)) continue;
        const object = { apiVersion: type.apiVersion, kind: type.kind, metadata: { namespace, name: metadata.name }, status };
        await client.applyStatus(type, object, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch((error: unknown) => {
          // Deleted since it was listed.
          if (!(error instanceof KubeError) || error.code !== 'notFound') throw error;
        });
      }
    }
  }
}

function isPlayed(status: unknown): boolean {
  if (!isRecord(status)) return false;
  const { loadBalancer } = status;
  return status.phase === 'Running' || (isRecord(loadBalancer) && loadBalancer.ingress !== undefined);
}
