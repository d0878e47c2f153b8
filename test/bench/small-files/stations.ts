import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '@skiff/database/connect';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { startPrivateMariadb } from '@skiff/database/private-mariadb';
import type { EventPublisher } from '@skiff/messaging/event-bus';
import { createServiceBusPublisher } from '@skiff/messaging/service-bus';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { startAzure } from '../../emulators/azure.ts';
import { type BlobStandInProcess, startBlobStandInProcess } from '../../emulators/blob-stand-in/blob-stand-in-process.ts';
import { type EmulatorProcess, startEmulator } from '../../emulators/emulator-process.ts';
import { type Login, OpenSshClient } from '../../support/openssh-client.ts';
import { prepareServerSite } from '../../support/sftp-server-process.ts';
import { SkiffProcess } from '../../support/skiff-process.ts';
import { type DatabaseProbe, probeDatabase } from './database-load.ts';

const CONTAINER = 'files';
const QUEUE = 'events';

/** The whole way of a file and its event, each station in a process of its own; server and router start when they are wanted. */
export interface Stations {
  readonly target: EmulatorProcess;
  readonly blobs: BlobStandInProcess;
  readonly database: DatabaseProbe;
  readonly publisher: EventPublisher;
  /** By the name it has in the report: what runs so far. */
  readonly processes: ReadonlyMap<string, number>;
  startRouter(): Promise<void>;
  startServer(): Promise<Login & { readonly keyFile: string }>;
  stop(): Promise<void>;
}

export interface StationsOptions {
  /** Takes CPU profiles of the server and the router, written when they end. */
  readonly profileDir?: string;
}

export async function startStations(options: StationsOptions = {}): Promise<Stations> {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-stations-'));
  const stops: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const mariadb = await startPrivateMariadb({ dataDir: join(dir, 'database'), logger: silentLogger, signal: AbortSignal.timeout(90_000), ephemeral: true });
    stops.push(() => mariadb.stop());
    const blobs = await startBlobStandInProcess({ containers: [CONTAINER] });
    stops.push(() => blobs.stop());
    const azure = await startAzure({ dir: join(dir, 'azure'), queues: [QUEUE] });
    stops.push(() => azure.stop());
    const target = await startTarget();
    stops.push(() => target.stop());
    const nodeFlags = options.profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profileDir}`];
    const env = { ...azure.env, AZURE_STORAGE_KEY: blobs.accountKey, SKIFF_LOG_LEVEL: 'info' };
    const site = await prepareServerSite({
      dir: join(dir, 'site'),
      databaseUrl: mariadb.url,
      storage: { kind: 'azureBlob', account: blobs.accountName, container: CONTAINER, prefix: '', endpoint: blobs.url },
      events: { kind: 'serviceBus', ...azure.serviceBusAddress, queue: QUEUE },
      env,
      nodeFlags,
      client: new OpenSshClient(join(dir, 'client')),
    });
    stops.push(() => site.close());
    await routeTo(target.url, mariadb.url, site.endpointId);
    const database = await probeDatabase(mariadb);
    stops.push(() => database.close());
    const credential = { connectionString: new Secret(azure.serviceBus.connectionString) };
    const publisher = createServiceBusPublisher({ namespace: azure.serviceBusAddress.namespace, queue: QUEUE, credential, logger: silentLogger });
    stops.push(() => publisher.close());
    const processes = new Map([
      ['MariaDB', database.pid],
      ['blob stand-in', pidOf(blobs)],
      ['Service Bus emulator', pidOf(azure.serviceBus)],
      ['HTTP target', pidOf(target)],
    ]);
    const startRouter = async () => {
      const settingsFile = join(dir, 'router-endpoint.json');
      await writeFile(settingsFile, JSON.stringify(site.settings));
      const router = new SkiffProcess({
        args: ['router'],
        nodeFlags,
        env: { ...env, SKIFF_DATABASE_URL: mariadb.url.reveal(), SKIFF_ENDPOINT_FILE: settingsFile, SKIFF_ALLOWED_TARGET_RANGES: '127.0.0.0/8' },
      });
      stops.push(() => router.stop());
      await router.waitFor('routes', (line) => line.msg === 'routes in force changed', 30_000);
      processes.set('router', router.pid);
    };
    const startServer = async () => {
      const server = await site.start();
      stops.push(() => server.process.stop());
      processes.set('SFTP server', server.process.pid);
      const { credential: key } = server.byKey;
      if (!('keyFile' in key)) throw new Error('the user has no key');
      return { ...server.byKey, keyFile: key.keyFile };
    };
    return { target, blobs, database, publisher, processes, startRouter, startServer, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startTarget(): Promise<EmulatorProcess & { readonly url: string }> {
  let url = '';
  const target = await startEmulator({
    name: 'HTTP target',
    entry: fileURLToPath(new URL('target-main.ts', import.meta.url)),
    args: () => [],
    onReady: (ready) => {
      Value.Assert(Type.Object({ port: Type.Integer() }), ready);
      url = `http://127.0.0.1:${ready.port}/`;
    },
  });
  return Object.assign(target, { url });
}

async function routeTo(url: string, databaseUrl: Parameters<typeof openDatabase>[0]['url'], endpointId: number): Promise<void> {
  const database = openDatabase({ url: databaseUrl, logger: silentLogger, poolSize: 1 });
  try {
    const targets = [{ name: 'application', http: { url } }];
    const match = { types: ['dev.skiff.file.uploaded' as const] };
    const row = { namespace: 'default', name: 'uploads', uid: 'uid-uploads', match, targets };
    await createResourceRepository(database).applyRoutes(endpointId, [{ kind: 'put', row }]);
  } finally {
    await database.close();
  }
}

function pidOf({ pid }: { readonly pid: number | undefined }): number {
  if (pid === undefined) throw new Error('a station has no id');
  return pid;
}
