import type { ResourceRepository } from '@skiff/database/resource-rows';
import type { Clock } from '@skiff/runtime/clock';
import type { Logger } from '@skiff/runtime/logger';
import type { EndpointSink } from '../endpoint-sink.ts';
import type { HostKeyStore } from '../host-keys/host-key-store.ts';
import type { ResourceSource } from '../resource-source.ts';
import type { OutboxLooks } from './delayed-events.ts';

export type RowRepository = Pick<ResourceRepository, 'endpoints' | 'endpointId' | 'users' | 'applyUsers' | 'routes' | 'applyRoutes'>;

/** What the reconcilers work with. */
export interface ReconcileContext {
  readonly source: ResourceSource;
  readonly repository: RowRepository;
  readonly sink: EndpointSink;
  readonly hostKeys: HostKeyStore;
  /** Undefined: statuses say nothing of late events. */
  readonly outbox: OutboxLooks | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
}
