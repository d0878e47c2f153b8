import { createDeliveryHistory } from '@skiff/database/mysql-delivery-history';
import { createDeliveryLog } from '@skiff/database/mysql-delivery-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { type EndpointSettings, keepsOrder } from '@skiff/model/endpoint-settings';
import { createEventFileOpener } from '@skiff/router/event-file';
import { createRouteTable } from '@skiff/router/route-table';
import { createRouter, type Router } from '@skiff/router/router';
import type { SecretReader } from '@skiff/router/secret-reader';
import { createTargetFactory } from '@skiff/router/target-factory';
import type { Logger } from '@skiff/runtime/logger';
import type { Lease } from '@skiff/sftp-server/lease';
import { VERSION } from '../version.ts';
import { createStore } from './create-store.ts';
import { createConsumer, type EventBusSecrets } from './event-bus.ts';
import type { ProcessParts } from './process-parts.ts';

const MESSAGES_AT_A_TIME = 64;
const TARGET_CONCURRENCY = 32;

export interface RouterParts {
  readonly settings: EndpointSettings;
  readonly endpointId: number;
  readonly lease: Lease;
  readonly logger: Logger;
  /** Gives the secrets that targets name; absent: such targets are unusable, and say so. */
  readonly secrets: SecretReader | undefined;
  readonly eventBusSecrets: EventBusSecrets;
}

export interface RunningRouter {
  stop(): Promise<void>;
}

/** Starts the router of an endpoint that has a queue. */
export async function startRouter(parts: ProcessParts, props: RouterParts): Promise<RunningRouter | undefined> {
  const { settings, endpointId, lease, logger, secrets, eventBusSecrets } = props;
  const { database, clock, failpoints, configuration } = parts;
  const consumer = createConsumer(parts, { settings, secrets: eventBusSecrets, logger, concurrency: MESSAGES_AT_A_TIME });
  if (consumer === undefined) return undefined;
  const store = await createStore(parts, settings);
  const router: Router = createRouter({
    consumer,
    deliveries: createDeliveryLog(database),
    routes: createRouteTable({ resources: createResourceRepository(database), endpointId, logger }),
    history: createDeliveryHistory(database),
    targets: createTargetFactory({
      addresses: { allow: configuration.allowedTargetRanges },
      userAgent: `skiff/${VERSION}`,
      concurrency: TARGET_CONCURRENCY,
      logger,
      azure: parts.azure,
      openFile: createEventFileOpener(store),
      ...(secrets === undefined ? {} : { secrets }),
    }),
    clock,
    random: Math.random,
    logger,
    metrics: parts.counters.router,
    instance: lease.instance,
    endpointId,
    failpoints,
    inOrder: keepsOrder(settings),
  });
  const started = router.start().catch((error: unknown) => logger.warn({ err: error }, 'router ended before it had started'));
  return {
    stop: async () => {
      await router.stop(AbortSignal.timeout(configuration.drainGraceMs));
      await started;
      await store.close();
    },
  };
}
