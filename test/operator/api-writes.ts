import type { KubeClient } from '@skiff/kube/kube-client';

const WRITE_VERB = /verb="(POST|PUT|PATCH|APPLY|DELETE)"/;
const OUR_RESOURCES =
  /resource="(sftpusers|sftpendpoints|eventroutes|configmaps|secrets|deployments|services|serviceaccounts|poddisruptionbudgets|horizontalpodautoscalers|networkpolicies|events)"/;

/** Requests that changed, or tried to change, any of these resources since the API server started. Leases are not counted. */
export async function countApiWrites(client: KubeClient): Promise<number> {
  const text = await client.getRaw('/metrics', { signal: AbortSignal.timeout(20_000) });
  let writes = 0;
  for (const line of text.split('\n')) {
    if (!line.startsWith('apiserver_request_total{') || !WRITE_VERB.test(line) || !OUR_RESOURCES.test(line)) continue;
    writes += Number(line.slice(line.lastIndexOf(' ') + 1));
  }
  return writes;
}
