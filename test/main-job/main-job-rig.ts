import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import type { FileEvent } from '@skiff/model/file-event';
import { parseFileEvent } from '@skiff/model/parse-file-event';
import type { FileStore } from '@skiff/storage/file-store';
import { type Azure, startAzure } from '../emulators/azure.ts';
import { AZURITE_ACCOUNT } from '../emulators/azurite.ts';
import { startHttpInbox } from '../support/http-inbox.ts';
import { OpenSshClient } from '../support/openssh-client.ts';
import { prepareServerSite, type ServerSite } from '../support/sftp-server-process.ts';
import { openAzuriteContainer } from '../support/test-stores.ts';

const CONTAINER = 'files';
const QUEUE = 'events';
/** Of one attempt of a delivery. Others leave what a killed router was at alone for this and 15 s. */
export const ATTEMPT_SECONDS = 5;
/** So long nobody gets at the session of a router that was killed. Service Bus takes 5 s at least. */
const SESSION_LOCK_MS = 15_000;

/** Everything between a partner and an application, each part a process of its own: the servers and routers are started by the test. */
export interface MainJobRig {
  readonly dir: string;
  readonly azure: Azure;
  readonly database: TestDatabase;
  readonly site: ServerSite;
  readonly client: OpenSshClient;
  /** The container, as the application sees it. */
  readonly blobs: FileStore;
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
    const azure = await startAzure({
      dir: join(dir, 'azure'),
      containers: [CONTAINER],
      queues: [ordering === 'PerPath' ? { name: QUEUE, requiresSession: true, lockMs: SESSION_LOCK_MS } : QUEUE],
    });
    stops.push(() => azure.stop());
    const database = await openTestDatabase();
    stops.push(() => database.close());
    const inbox = await startHttpInbox();
    stops.push(() => inbox.close());
    const client = new OpenSshClient(join(dir, 'client'));
    const site = await prepareServerSite({
      dir: join(dir, 'site'),
      databaseUrl: database.url,
      storage: { kind: 'azureBlob', account: AZURITE_ACCOUNT, container: CONTAINER, prefix: '', endpoint: azure.blobEndpoint },
      events: { kind: 'serviceBus', ...azure.serviceBusAddress, queue: QUEUE, ordering },
      env: azure.env,
      client,
    });
    stops.push(() => site.close());
    const resources = createResourceRepository(database.database);
    const targets = [{ name: 'inbox', http: { url: `${inbox.url}/files` }, delivery: { timeoutSeconds: ATTEMPT_SECONDS } }];
    await resources.applyRoutes(site.endpointId, [{ kind: 'put', row: { namespace: 'default', name: 'inbox', uid: 'uid-inbox', match: null, targets } }]);
    const blobs = openAzuriteContainer({ blobEndpoint: azure.blobEndpoint, container: CONTAINER, ca: azure.certificates.ca });
    stops.push(() => blobs.close());
    return {
      dir,
      azure,
      database,
      site,
      client,
      blobs,
      delivered: () => inbox.received.map((received) => parseFileEvent(JSON.parse(received.body))).filter((event) => event !== undefined),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
