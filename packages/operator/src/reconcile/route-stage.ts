import { objectKey } from '@skiff/model/object-meta';
import type { RouteRow } from '@skiff/model/resource-rows';
import { endpointKeyOf, endpointNotFound } from '@skiff/policy/endpoint-ref';
import { translateRoutes } from '@skiff/policy/translate-routes';
import { type ResourceSource, refOf } from '../resource-source.ts';
import type { RowRepository } from './reconcile-context.ts';
import type { RowStage } from './row-stage.ts';

export interface RouteStageOptions {
  readonly source: Pick<ResourceSource, 'routes'>;
  readonly repository: Pick<RowRepository, 'routes' | 'applyRoutes'>;
}

/** EventRoutes become the rows that the routers match events against. */
export function routeStage({ source, repository }: RouteStageOptions): RowStage<RouteRow> {
  return {
    kind: 'EventRoute',
    keyOf: objectKey,
    async translate(endpointKey, endpoint) {
      const routes = source.routes().filter((route) => endpointKeyOf(route) === endpointKey);
      const items =
        endpoint === undefined
          ? routes.map((route) => ({ ref: refOf(route), row: undefined, verdict: endpointNotFound(route) }))
          : translateRoutes({ endpoint, routes }).map(({ route, row, verdict }) => ({ ref: refOf(route), row, verdict }));
      return { items, revisitAt: null };
    },
    load: (endpointId) => repository.routes(endpointId),
    apply: (endpointId, steps) => repository.applyRoutes(endpointId, steps),
  };
}
