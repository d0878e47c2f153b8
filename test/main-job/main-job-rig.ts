import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createOperationLog } from '@skiff/database/mysql-operation-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { OperationLog } from '@skiff/database/operation-log';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import type { FileEvent } from '@skiff/model/file-event';
import { parseFileEvent } from '@skiff/model/parse-file-event';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { createAzureBlobStore } from '@skiff/storage/azure-blob';
import type { FileStore } from '@skiff/storage/file-store';
import { type Azure, startAzure } from '../emulators/azure.ts';
import { AZURITE_ACCOUNT, AZURITE_KEY } from '../emulators/azurite.ts';
import { type HttpInbox, startHttpInbox } from '../support/http-inbox.ts';
import { OpenSshClient } from '../support/openssh-client.ts';
import { prepareServerSite, type ServerSite } from '../support/sftp-server-process.ts';
import { SkiffProcess } from '../support/skiff-process.ts';

const CONTAINER = 'files';
const QUEUE = 'events';

/** Everything between a partner and an application, each part a process of its own: the servers and routers are started by the test. */
export interface MainJobRig {
  readonly dir: string;
  readonly azure: Azure;
  readonly database: TestDatabase;
  readonly log: OperationLog;
  readonly site: ServerSite;
  readonly client: OpenSshClient;
  readonly inbox: HttpInbox;
  /** The container, as the application sees it. */
  readonly blobs: FileStore;
  startRouter(env?: Readonly<Record<string, string>>): Promise<SkiffProcess>;
  /** Events that the application was sent, in order of arrival, doubles included. */
  delivered(): readonly FileEvent[];
  stop(): Promise<void>;
}

/** `ordering: PerPath` comes with a queue that has sessions. */
export async function startMainJobRig(ordering: 'None' | 'PerPath' = 'None'): Promise<MainJobRig> {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-main-job-'));
  const stops: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const azure = await startAzure({ dir: join(dir, 'azure'), containers: [CONTAINER], queues: [{ name: QUEUE, requiresSession: ordering === 'PerPath' }] });
    stops.push(() => azure.stop());
    const database = await openTestDatabase();
    stops.push(() => database.close());
    const inbox = await startHttpInbox();
    stops.push(() => inbox.close());
    const client = new OpenSshClient(join(dir, 'client'));
    const site = await prepareServerSite({
      dir: join(dir, 'site'),
      databaseUrl: database.url,
      storage: { kind: 'azureBlob', account: 'devstoreaccount1', container: CONTAINER, prefix: '', endpoint: azure.blobEndpoint },
      events: { kind: 'serviceBus', ...azure.serviceBusAddress, queue: QUEUE, ordering },
      env: azure.env,
      client,
    });
    stops.push(() => site.close());
    const resources = createResourceRepository(database.database);
    const targets = [{ name: 'inbox', http: { url: `${inbox.url}/files` } }];
    await resources.applyRoutes(site.endpointId, [{ kind: 'put', row: { namespace: 'default', name: 'inbox', uid: 'uid-inbox', match: null, targets } }]);
    const { ca } = azure.certificates;
    const blobs = createAzureBlobStore({
      accountUrl: azure.blobEndpoint,
      container: CONTAINER,
      credential: { accountName: AZURITE_ACCOUNT, accountKey: new Secret(AZURITE_KEY) },
      logger: silentLogger,
      ca,
    });
    stops.push(() => blobs.close());
    return {
      dir,
      azure,
      database,
      log: createOperationLog(database.database),
      site,
      client,
      inbox,
      blobs,
      startRouter: async (env = {}) => {
        const router = new SkiffProcess({
          args: ['router'],
          env: {
            ...azure.env,
            SKIFF_DATABASE_URL: database.url.reveal(),
            SKIFF_ENDPOINT_FILE: join(dir, 'site', 'endpoint-1.json'),
            SKIFF_ALLOWED_TARGET_RANGES: '127.0.0.0/8',
            ...env,
          },
        });
        stops.push(() => router.kill());
        await router.waitFor('routes', (line) => line.msg === 'routes in force changed', 30_000);
        return router;
      },
      delivered: () => inbox.received.map((received) => parseFileEvent(JSON.parse(received.body))).filter((event) => event !== undefined),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
