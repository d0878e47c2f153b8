import { objectKey } from '@skiff/model/object-meta';
import type { RouteRow } from '@skiff/model/resource-rows';
import { secretRefsOf } from '@skiff/model/route-secrets';
import { endpointKeyOf, endpointNotFound } from '@skiff/policy/endpoint-ref';
import { translateRoutes } from '@skiff/policy/translate-routes';
import { namespaceLabelsOf, type ResourceSource, refOf } from '../resource-source.ts';
import type { RowRepository } from './reconcile-context.ts';
import type { RouteDeliveryLooks } from './route-deliveries.ts';
import type { RowStage } from './row-stage.ts';
import { lookUpSecrets } from './secret-lookups.ts';

export interface RouteStageOptions {
  readonly source: Pick<ResourceSource, 'routes' | 'secretValue' | 'namespaceLabels'>;
  readonly repository: Pick<RowRepository, 'routes' | 'applyRoutes'>;
  /** Absent: the statuses have no counters. */
  readonly deliveries?: RouteDeliveryLooks | undefined;
}

/** EventRoutes become the rows that the routers match events against. */
export function routeStage({ source, repository, deliveries }: RouteStageOptions): RowStage<RouteRow> {
  return {
    kind: 'EventRoute',
    keyOf: objectKey,
    async translate(endpointKey, endpoint) {
      const routes = source.routes().filter((route) => endpointKeyOf(route) === endpointKey);
      if (endpoint === undefined) {
        return { items: routes.map((route) => ({ ref: refOf(route), row: undefined, verdict: endpointNotFound(route) })), revisitAt: null };
      }
      const refs = routes.flatMap(({ metadata, spec }) => spec.targets.flatMap(secretRefsOf).map((ref) => ({ namespace: metadata.namespace, ...ref })));
      const secrets = { lookUp: await lookUpSecrets(source, refs) };
      const translated = translateRoutes({ endpoint, routes, secrets, namespaceLabels: namespaceLabelsOf(source) });
      return { items: translated.map(({ route, row, verdict }) => ({ ref: refOf(route), row, verdict })), revisitAt: null };
    },
    load: (endpointId) => repository.routes(endpointId),
    async details(endpointId) {
      const counts = await deliveries?.of(endpointId);
      return new Map([...(counts ?? [])].map(([route, one]) => [route, { deliveries: one }]));
    },
    apply: (endpointId, steps) => repository.applyRoutes(endpointId, steps),
  };
}
