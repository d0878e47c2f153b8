import { createOperationLog } from '@skiff/database/mysql-operation-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { OperationLog } from '@skiff/database/operation-log';
import { type EndpointSettings, keepsOrder } from '@skiff/model/endpoint-settings';
import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import type { Lease } from '@skiff/sftp-server/lease';
import { SftpServer } from '@skiff/sftp-server/sftp-server';
import type { FileStore } from '@skiff/storage/file-store';
import { createStore } from './create-store.ts';
import { createPublisher, type EventBusSecrets } from './event-bus.ts';
import { startHousekeeping } from './housekeeping.ts';
import type { ProcessParts } from './process-parts.ts';

export interface ServerParts {
  readonly settings: EndpointSettings;
  readonly endpointId: number;
  readonly lease: Lease;
  readonly hostKeys: readonly Secret<string>[];
  readonly eventBusSecrets: EventBusSecrets;
  readonly logger: Logger;
}

export interface RunningServer {
  readonly server: SftpServer;
  readonly store: FileStore;
  /** Events that wait for the bus. */
  readonly outbox: () => ReturnType<OperationLog['outboxStatus']>;
  /** Stops the server and everything made for it. */
  stop(): Promise<void>;
}

/** Starts one endpoint's SFTP server. Rejects when the database is away or the port is taken; nothing is left running then. */
export async function startSftpServer(parts: ProcessParts, props: ServerParts): Promise<RunningServer> {
  const { settings, endpointId, lease, hostKeys, eventBusSecrets, logger } = props;
  const { configuration, database, registry, budget, clock, failpoints, verifyPassword } = parts;
  const log = createOperationLog(database, { unclaimed: keepsOrder(settings) });
  const store = await createStore(parts, settings);
  const publisher = createPublisher(parts, { settings, secrets: eventBusSecrets, logger });
  const closeParts = async () => {
    await publisher?.close();
    await store.close();
  };
  try {
    const server = new SftpServer({
      settings,
      endpointId,
      store,
      log,
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
      metrics: parts.counters.server,
    });
    await server.start({ port: settings.port, ...(configuration.listenHost === undefined ? {} : { host: configuration.listenHost }) });
    const housekeeping = startHousekeeping(log, logger);
    return {
      server,
      store,
      outbox: () => log.outboxStatus(endpointId),
      stop: async () => {
        await server.stop({ graceMs: configuration.drainGraceMs });
        await housekeeping.stop();
        await closeParts();
      },
    };
  } catch (error) {
    await closeParts();
    throw error;
  }
}
