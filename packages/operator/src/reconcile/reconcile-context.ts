import type { ResourceRepository } from '@skiff/database/resource-rows';
import type { ResourceKind } from '@skiff/model/object-meta';
import type { Clock } from '@skiff/runtime/clock';
import type { Logger } from '@skiff/runtime/logger';
import type { EndpointSink } from '../endpoint-sink.ts';
import type { HostKeyStore } from '../host-keys/host-key-store.ts';
import type { ResourceRef, ResourceSource } from '../resource-source.ts';

export type RowRepository = Pick<ResourceRepository, 'endpoints' | 'endpointId' | 'users' | 'applyUsers' | 'routes' | 'applyRoutes'>;

/** What the reconcilers work with. */
export interface ReconcileContext {
  readonly source: ResourceSource;
  readonly repository: RowRepository;
  readonly sink: EndpointSink;
  readonly hostKeys: HostKeyStore;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Takes a `namespace/name` apart; neither part can hold a slash. */
export function refFromKey<Kind extends ResourceKind>(kind: Kind, key: string): ResourceRef<Kind> {
  const slash = key.indexOf('/');
  return { kind, namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
