import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { generateHostKey } from '@skiff/credentials/host-key';
import { passwordHashProblem } from '@skiff/credentials/password-hash';
import { readPublicKey } from '@skiff/credentials/ssh-public-key';
import { createDeliveryHistory } from '@skiff/database/mysql-delivery-history';
import { createOperationLog } from '@skiff/database/mysql-operation-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { startPrivateMariadb } from '@skiff/database/private-mariadb';
import { StoreError } from '@skiff/model/store-error';
import { createFileHostKeyStore } from '@skiff/operator/file-host-key-store';
import { createFolderSource } from '@skiff/operator/folder-source';
import { createOperator } from '@skiff/operator/operator';
import type { ResourceSource } from '@skiff/operator/resource-source';
import type { SecretReader } from '@skiff/router/secret-reader';
import type { Secret } from '@skiff/runtime/secret';
import { selfCheck } from '@skiff/sftp-protocol/self-check';
import { InProcessSink } from '../composition/in-process-sink.ts';
import { type ProcessHealth, startProcessHealth } from '../composition/process-health.ts';
import { createProcessParts, keepProcessLease, type ProcessParts } from '../composition/process-parts.ts';
import { ConfigurationError } from '../configuration/environment.ts';
import type { ModeContext } from './mode.ts';
import { untilSignalled } from './run-until-signal.ts';
import { stopAll } from './stop-all.ts';
import { migrateWhenReady } from './wait-for-database.ts';

const DEFAULT_MANIFESTS = 'manifests';
const DEFAULT_STATE = '.skiff';

/** `skiff standalone`: operator, SFTP servers and routers in one process, over a folder of manifests. */
export async function runStandalone(context: ModeContext): Promise<number> {
  const { logger } = context;
  const folders = readFolders(context);
  await selfCheck();
  const stop = new AbortController();
  const signalled = untilSignalled(logger).then(() => stop.abort());
  const database = await openDatabaseOf(context, folders.state, stop.signal);
  const parts = createProcessParts(context.configuration, logger, database.url);
  try {
    await runWith(parts, folders, stop.signal, signalled);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    await parts.database.close();
    await database.stop();
  }
  return 0;
}

interface Folders {
  readonly manifests: string;
  readonly state: string;
}

function readFolders({ args, environment }: ModeContext): Folders {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { manifests: { type: 'string' }, state: { type: 'string' } },
      strict: true,
      allowPositionals: false,
    });
    return {
      manifests: resolve(values.manifests ?? environment.text('SKIFF_MANIFESTS') ?? DEFAULT_MANIFESTS),
      state: resolve(values.state ?? environment.text('SKIFF_STATE') ?? DEFAULT_STATE),
    };
  } catch (error) {
    throw new ConfigurationError(`${error instanceof Error ? error.message : String(error)} (skiff standalone --help)`);
  }
}

interface StandaloneDatabase {
  readonly url: Secret<string>;
  stop(): Promise<void>;
}

/** The configured database, or a MariaDB of this machine run privately. Neither: the exact next step. */
async function openDatabaseOf({ configuration, logger }: ModeContext, state: string, signal: AbortSignal): Promise<StandaloneDatabase> {
  if (configuration.databaseUrl !== undefined) return { url: configuration.databaseUrl, stop: () => Promise.resolve() };
  try {
    const mariadb = await startPrivateMariadb({ dataDir: join(state, 'database'), logger, signal });
    logger.info({ version: mariadb.version, dataDir: join(state, 'database') }, 'private database running');
    let stopping = false;
    mariadb.ended.then(
      (output) => stopping || logger.error({ output }, 'the private database ended'),
      (err: unknown) => logger.error({ err }, 'the private database ended'),
    );
    return {
      url: mariadb.url,
      stop: () => {
        stopping = true;
        return mariadb.stop();
      },
    };
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'unsupported') throw error;
    throw new ConfigurationError(`${error.message}; or set SKIFF_DATABASE_URL=mysql://user:password@host:3306/skiff`);
  }
}

async function runWith(parts: ProcessParts, folders: Folders, signal: AbortSignal, signalled: Promise<void>): Promise<void> {
  const health = await startProcessHealth(parts);
  try {
    await runUntilStopped({ parts, folders, signal, signalled, health });
  } finally {
    await health.stop();
  }
}

interface Run {
  readonly parts: ProcessParts;
  readonly folders: Folders;
  readonly signal: AbortSignal;
  readonly signalled: Promise<void>;
  readonly health: ProcessHealth;
}

async function runUntilStopped({ parts, folders, signal, signalled, health }: Run): Promise<void> {
  const { logger, database } = parts;
  await migrateWhenReady(parts, signal);
  const lease = await keepProcessLease(parts, 'standalone');
  const resources = createResourceRepository(database);
  const source = createFolderSource({ directory: folders.manifests, stateDirectory: folders.state, logger });
  const sink = new InProcessSink({ parts, resources, lease: lease.lease, secrets: secretsOf(source) });
  const operator = createOperator({
    source,
    repository: resources,
    sink,
    hostKeys: createFileHostKeyStore({ directory: join(folders.state, 'host-keys'), generate: generateHostKey }),
    credentials: { readPublicKey, passwordHashProblem },
    deliveries: createDeliveryHistory(database),
    outbox: createOperationLog(database),
    logger,
  });
  health.watch({ sessions: () => sink.sessionCount, outbox: () => sink.outbox() });
  await operator.start(signal);
  logger.info({ manifests: folders.manifests, state: folders.state }, 'standalone running');
  health.ready();
  await signalled;
  health.drain();
  await stopAll(logger, [() => operator.stop(), () => sink.stop(), () => lease.release()]);
}

/** Secrets of route targets, read from the manifests' folder when a delivery needs them. */
function secretsOf(source: Pick<ResourceSource, 'secretValue'>): SecretReader {
  return {
    async read(namespace, { name, key }) {
      const found = await source.secretValue(namespace, name, key);
      return found.kind === 'found' ? found.value : undefined;
    },
  };
}
