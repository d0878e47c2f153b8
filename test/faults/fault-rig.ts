import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createOperationLog } from '@skiff/database/mysql-operation-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { OperationLog } from '@skiff/database/operation-log';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { createAzureBlobStore } from '@skiff/storage/azure-blob';
import type { FileStore } from '@skiff/storage/file-store';
import { type Azure, startAzure } from '../emulators/azure.ts';
import { AZURITE_ACCOUNT, AZURITE_KEY } from '../emulators/azurite.ts';
import { type BlobStandInProcess, startBlobStandInProcess } from '../emulators/blob-stand-in/blob-stand-in-process.ts';
import { startTcpGate, type TcpGate } from '../router/tcp-gate.ts';
import { type HttpInbox, startHttpInbox } from '../support/http-inbox.ts';
import { OpenSshClient } from '../support/openssh-client.ts';
import { prepareServerSite, type ServerSite } from '../support/sftp-server-process.ts';

const CONTAINER = 'files';
const QUEUE = 'events';

export interface FaultRigProps {
  /** `azurite` is the closer likeness, the stand-in is faster and has faults. Default: stand-in. */
  readonly blobs?: 'azurite' | 'standIn';
  /** Of the queue. Default 10 minutes. */
  readonly duplicateWindowMs?: number;
  /** HTTP targets that every event matches. Default 1. */
  readonly targets?: number;
}

/** Everything between partners and applications in processes of its own, with gates where faults come in. */
export interface FaultRig {
  readonly dir: string;
  readonly azure: Azure;
  readonly standIn: BlobStandInProcess | undefined;
  readonly database: TestDatabase;
  /** Between the servers and MariaDB. */
  readonly databaseGate: TcpGate;
  readonly log: OperationLog;
  readonly site: ServerSite;
  readonly client: OpenSshClient;
  readonly inbox: HttpInbox;
  readonly targets: readonly string[];
  /** The container, past all faults of the servers' own connections. */
  readonly blobs: FileStore;
  stop(): Promise<void>;
}

export async function startFaultRig(props: FaultRigProps = {}): Promise<FaultRig> {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-faults-'));
  const stops: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const queue = { name: QUEUE, ...(props.duplicateWindowMs === undefined ? {} : { duplicateWindowMs: props.duplicateWindowMs }) };
    const azure = await startAzure({ dir: join(dir, 'azure'), containers: [CONTAINER], queues: [queue] });
    stops.push(() => azure.stop());
    const standIn = props.blobs === 'azurite' ? undefined : await startBlobStandInProcess({ containers: [CONTAINER] });
    if (standIn !== undefined) stops.push(() => standIn.stop());
    const storageEnv: Record<string, string> = standIn === undefined ? {} : { AZURE_STORAGE_KEY: standIn.accountKey };
    const account =
      standIn === undefined
        ? { url: azure.blobEndpoint, name: AZURITE_ACCOUNT, key: AZURITE_KEY, ca: { ca: azure.certificates.ca } }
        : { url: standIn.url, name: standIn.accountName, key: standIn.accountKey, ca: {} };
    const database = await openTestDatabase();
    stops.push(() => database.close());
    const address = new URL(database.tcpUrl.reveal());
    const databaseGate = await startTcpGate({ host: address.hostname, port: Number(address.port) });
    stops.push(() => databaseGate.close());
    address.port = String(databaseGate.port);
    const inbox = await startHttpInbox();
    stops.push(() => inbox.close());
    const client = new OpenSshClient(join(dir, 'client'));
    const site = await prepareServerSite({
      dir: join(dir, 'site'),
      databaseUrl: new Secret(address.href),
      storage: { kind: 'azureBlob', account: account.name, container: CONTAINER, prefix: '', endpoint: account.url },
      events: { kind: 'serviceBus', ...azure.serviceBusAddress, queue: QUEUE },
      env: { ...azure.env, ...storageEnv },
      client,
    });
    stops.push(() => site.close());
    const targets = Array.from({ length: props.targets ?? 1 }, (_, index) => `target${index}`);
    const routes = targets.map((name) => ({ name, http: { url: `${inbox.url}/${name}` } }));
    const resources = createResourceRepository(database.database);
    await resources.applyRoutes(site.endpointId, [{ kind: 'put', row: { namespace: 'default', name: 'all', uid: 'uid-all', match: null, targets: routes } }]);
    // Past the gate: it is the servers' way to the database that is cut.
    await site.startRouter({ SKIFF_DATABASE_URL: database.url.reveal() });
    const blobs = createAzureBlobStore({
      accountUrl: account.url,
      container: CONTAINER,
      credential: { accountName: account.name, accountKey: new Secret(account.key) },
      logger: silentLogger,
      ...account.ca,
    });
    stops.push(() => blobs.close());
    return { dir, azure, standIn, database, databaseGate, log: createOperationLog(database.database), site, client, inbox, targets, blobs, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
