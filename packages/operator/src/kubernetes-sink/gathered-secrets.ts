import { objectKey } from '@skiff/model/object-meta';
import { gatheredSecretKey, secretRefsOf } from '@skiff/model/route-secrets';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import { endpointKeyOf, notAllowedByEndpoint } from '@skiff/policy/endpoint-ref';
import { lookUpSecrets } from '../reconcile/secret-lookups.ts';
import { namespaceLabelsOf, type ResourceSource } from '../resource-source.ts';

/**
 * The secrets that the targets of an endpoint's admitted routes name, for the one Secret that its routers mount. What cannot be read
 * is left out: the route's condition says so.
 *
 * @throws {StoreError} when it cannot be said now; the Secret then stays as it is.
 */
export async function gatherRouteSecrets(
  source: Pick<ResourceSource, 'routes' | 'secretValue' | 'namespaceLabels'>,
  endpoint: SftpEndpoint,
): Promise<Readonly<Record<string, string>>> {
  const labelsOf = namespaceLabelsOf(source);
  const refs = source
    .routes()
    .filter((route) => endpointKeyOf(route) === objectKey(endpoint.metadata) && route.metadata.deletionTimestamp === undefined)
    .filter((route) => notAllowedByEndpoint(route, endpoint, labelsOf) === undefined)
    .flatMap(({ metadata, spec }) => spec.targets.flatMap(secretRefsOf).map((ref) => ({ namespace: metadata.namespace, ...ref })));
  const lookUp = await lookUpSecrets(source, refs);
  const gathered: Record<string, string> = {};
  for (const { namespace, name, key } of refs) {
    const found = lookUp(namespace, name, key);
    if (found.kind === 'found') gathered[gatheredSecretKey(namespace, { name, key })] = found.value.reveal();
  }
  return gathered;
}
