import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateHostKey } from '@skiff/credentials/host-key';
import { openDatabase } from '@skiff/database/connect';
import { migrate } from '@skiff/database/migrate';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import type { UserRow } from '@skiff/model/resource-rows';
import { silentLogger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import { freePort } from './free-port.ts';
import type { Login, OpenSshClient } from './openssh-client.ts';
import { SkiffProcess } from './skiff-process.ts';
import { makeAnn, testEndpoint } from './test-endpoint.ts';

const START_TIMEOUT_MS = 30_000;

export interface ServerProcessProps {
  /** Work directory of its own. */
  readonly dir: string;
  readonly databaseUrl: Secret<string>;
  readonly storage: EndpointSettings['storage'];
  readonly events: EndpointSettings['events'];
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeFlags?: readonly string[];
  readonly client: OpenSshClient;
}

/** One endpoint `default/test` with the user `ann`, ready for `skiff sftp-server` and `skiff router` processes that serve it side by side. */
export interface ServerSite {
  readonly endpointId: number;
  readonly settings: EndpointSettings;
  /** Starts one more process; each has a port of its own. `main` is the program's main module, where it is not that of the sources. */
  start(env?: Readonly<Record<string, string>>, main?: string): Promise<ServerProcess>;
  /** Starts a router, which may deliver to this machine. Returns when its first routes are in force. */
  startRouter(env?: Readonly<Record<string, string>>): Promise<SkiffProcess>;
  putUser(change: Partial<UserRow>): Promise<void>;
  /** Kills the processes that still run. */
  close(): Promise<void>;
}

interface Run {
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  readonly main: string | undefined;
  /** The message of the log by which it says so. */
  readonly ready: string;
}

export interface ServerProcess {
  readonly process: SkiffProcess;
  readonly byKey: Login;
  readonly byPassword: Login;
}

export async function prepareServerSite(props: ServerProcessProps): Promise<ServerSite> {
  mkdirSync(props.dir, { recursive: true });
  const database = openDatabase({ url: props.databaseUrl, logger: silentLogger, poolSize: 2 });
  await migrate(database, { signal: AbortSignal.timeout(60_000), logger: silentLogger });
  const resources = createResourceRepository(database);
  const endpointId = await resources.endpointId('default', 'test');
  const ann = await makeAnn(props.client);
  const putUser = (change: Partial<UserRow>) => resources.applyUsers(endpointId, [{ kind: 'put', row: { ...ann.row, ...change } }]);
  await putUser({});
  const hostKeyFile = join(props.dir, 'host_key');
  writeFileSync(hostKeyFile, generateHostKey().privateKey.reveal(), { mode: 0o600 });
  const settings = testEndpoint({ storage: props.storage, events: props.events });
  let started = 0;
  const processes: SkiffProcess[] = [];
  /** Returns when it says `ready`. */
  const run = async (mode: string, { port, env, main, ready }: Run): Promise<SkiffProcess> => {
    const settingsFile = join(props.dir, `endpoint-${++started}.json`);
    writeFileSync(settingsFile, JSON.stringify({ ...settings, port }));
    const process = new SkiffProcess({
      args: [mode],
      ...(main === undefined ? {} : { main }),
      ...(props.nodeFlags === undefined ? {} : { nodeFlags: props.nodeFlags }),
      env: { SKIFF_DATABASE_URL: props.databaseUrl.reveal(), SKIFF_ENDPOINT_FILE: settingsFile, ...props.env, ...env },
    });
    processes.push(process);
    try {
      await process.waitFor(ready, ({ msg }) => msg === ready, START_TIMEOUT_MS);
    } catch (error) {
      await process.kill();
      throw error;
    }
    return process;
  };
  const startServer = async (env: Readonly<Record<string, string>>, main: string | undefined): Promise<ServerProcess> => {
    const port = await freePort();
    const common = { SKIFF_HOST_KEY_FILES: hostKeyFile, SKIFF_LISTEN_HOST: '127.0.0.1', SKIFF_DRAIN_GRACE_SECONDS: '2' };
    const process = await run('sftp-server', { port, main, env: { ...common, ...env }, ready: 'SFTP server listening' });
    return { process, ...ann.loginsTo(port) };
  };
  return {
    endpointId,
    settings,
    putUser,
    // The port was free when it was chosen; on a busy machine somebody else may have taken it before the server was up.
    start: (env = {}, main?: string) =>
      startServer(env, main).catch((error: unknown) => {
        if (error instanceof Error && error.message.includes('EADDRINUSE')) return startServer(env, main);
        throw error;
      }),
    startRouter: (env = {}) =>
      run('router', { port: settings.port, main: undefined, env: { SKIFF_ALLOWED_TARGET_RANGES: '127.0.0.0/8', ...env }, ready: 'routes in force changed' }),
    async close() {
      await Promise.all(processes.map((one) => one.kill()));
      await database.close();
    },
  };
}
