import { KubeError } from '@skiff/kube/kube-error';
import type { EndpointReadiness } from '../endpoint-sink.ts';

/** What a refusal of the API server means for the endpoint; undefined: nothing that lasts, and it is tried again. */
export function explainRefusal(
  error: unknown,
  namespace: string,
  serviceAccount: { readonly namespace: string; readonly name: string },
): EndpointReadiness | undefined {
  if (!(error instanceof KubeError)) return undefined;
  if (error.httpStatus === 403) {
    // Quotas and admission answer with 403 as well, and say so.
    if (/\bcannot \w+ resource\b/.test(error.message))
      return { kind: 'notReady', reason: 'NamespaceAccessNotGranted', message: namespaceHint(namespace, serviceAccount) };
    return { kind: 'notReady', reason: 'WorkloadFailed', message: error.message };
  }
  return error.code === 'invalid' ? { kind: 'notReady', reason: 'Invalid', message: error.message } : undefined;
}

export function namespaceHint(namespace: string, serviceAccount: { readonly namespace: string; readonly name: string }): string {
  return `the operator may not run endpoints in the namespace ${namespace}; run: kubectl create rolebinding skiff-endpoint-namespace --clusterrole=skiff-endpoint-namespace --serviceaccount=${serviceAccount.namespace}:${serviceAccount.name} -n ${namespace}`;
}
