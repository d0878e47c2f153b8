import { createDeliveryLog } from '@skiff/database/mysql-delivery-log';
import { createOperationLog } from '@skiff/database/mysql-operation-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { EventPublisher } from '@skiff/messaging/event-bus';
import { createServiceBusConsumer, createServiceBusPublisher } from '@skiff/messaging/service-bus';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import { createRouteTable } from '@skiff/router/route-table';
import { createRouter, type Router } from '@skiff/router/router';
import { createTargetFactory } from '@skiff/router/target-factory';
import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import type { Lease } from '@skiff/sftp-server/lease';
import { SftpServer } from '@skiff/sftp-server/sftp-server';
import { createAzureBlobStore } from '@skiff/storage/azure-blob';
import type { FileStore } from '@skiff/storage/file-store';
import { createLocalStore } from '@skiff/storage/local';
import { VERSION } from '../version.ts';
import type { ProcessParts } from './process-parts.ts';

const MESSAGES_AT_A_TIME = 64;
const TARGET_CONCURRENCY = 32;

/** The store that an endpoint's settings name. */
export async function createStore(parts: ProcessParts, settings: EndpointSettings): Promise<FileStore> {
  const { storage } = settings;
  if (storage.kind === 'local') return createLocalStore({ root: storage.path });
  const { storageKey } = parts.configuration;
  const credential = storageKey === undefined ? parts.azure : { accountName: storage.account, accountKey: storageKey };
  return createAzureBlobStore({ accountUrl: storage.endpoint, container: storage.container, credential, logger: parts.logger });
}

export function createPublisher(parts: ProcessParts, settings: EndpointSettings): EventPublisher | undefined {
  const { events } = settings;
  if (events === null) return undefined;
  const { namespace, queue, endpoint } = events;
  const { logger } = parts;
  return createServiceBusPublisher({ namespace, queue, ...(endpoint === null ? {} : { endpoint }), credential: parts.azure, logger });
}

export interface ServerParts {
  readonly settings: EndpointSettings;
  readonly endpointId: number;
  readonly lease: Lease;
  readonly hostKeys: readonly Secret<string>[];
  readonly logger: Logger;
}

export interface RunningServer {
  readonly server: SftpServer;
  readonly store: FileStore;
  /** Stops the server and everything made for it. */
  stop(): Promise<void>;
}

/** Starts one endpoint's SFTP server. Rejects when the database is away or the port is taken; nothing is left running then. */
export async function startSftpServer(parts: ProcessParts, props: ServerParts): Promise<RunningServer> {
  const { settings, endpointId, lease, hostKeys, logger } = props;
  const { configuration, database, registry, budget, clock, failpoints, verifyPassword } = parts;
  const store = await createStore(parts, settings);
  const publisher = createPublisher(parts, settings);
  const closeParts = async () => {
    await publisher?.close();
    await store.close();
  };
  try {
    const server = new SftpServer({
      settings,
      endpointId,
      store,
      log: createOperationLog(database),
      resources: createResourceRepository(database),
      registry,
      lease,
      publisher,
      hostKeys,
      verifyPassword,
      budget,
      clock,
      logger,
      failpoints,
    });
    await server.start({ port: settings.port, ...(configuration.listenHost === undefined ? {} : { host: configuration.listenHost }) });
    return {
      server,
      store,
      stop: async () => {
        await server.stop({ graceMs: configuration.drainGraceMs });
        await closeParts();
      },
    };
  } catch (error) {
    await closeParts();
    throw error;
  }
}

export interface RunningRouter {
  stop(): Promise<void>;
}

/** Starts the router of an endpoint that has a queue. */
export function startRouter(parts: ProcessParts, props: Omit<ServerParts, 'hostKeys'>): RunningRouter | undefined {
  const { settings, endpointId, lease, logger } = props;
  const { database, clock, failpoints, configuration } = parts;
  if (settings.events === null) return undefined;
  const { namespace, queue, endpoint } = settings.events;
  const consumer = createServiceBusConsumer({
    namespace,
    queue,
    ...(endpoint === null ? {} : { endpoint }),
    credential: parts.azure,
    logger,
    concurrency: MESSAGES_AT_A_TIME,
  });
  const router: Router = createRouter({
    consumer,
    deliveries: createDeliveryLog(database),
    routes: createRouteTable({ resources: createResourceRepository(database), endpointId, logger }),
    targets: createTargetFactory({ addresses: { allow: configuration.allowedTargetRanges }, userAgent: `skiff/${VERSION}`, concurrency: TARGET_CONCURRENCY }),
    clock,
    random: Math.random,
    logger,
    instance: lease.instance,
    endpointId,
    failpoints,
  });
  const started = router.start().catch((error: unknown) => logger.warn({ err: error }, 'router ended before it had started'));
  return {
    stop: async () => {
      await router.stop(AbortSignal.timeout(configuration.drainGraceMs));
      await started;
    },
  };
}
