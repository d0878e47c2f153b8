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

/** One endpoint `default/test` with the user `ann`, ready for `skiff sftp-server` processes that serve it side by side. */
export interface ServerSite {
  readonly endpointId: number;
  readonly settings: EndpointSettings;
  /** Starts one more process; each has a port of its own. `main` is the program's main module, where it is not that of the sources. */
  start(env?: Readonly<Record<string, string>>, main?: string): Promise<ServerProcess>;
  putUser(change: Partial<UserRow>): Promise<void>;
  /** Kills the processes that still run. */
  close(): Promise<void>;
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
  const startOne = async (env: Readonly<Record<string, string>>, main: string | undefined): Promise<ServerProcess> => {
    const port = await freePort();
    const settingsFile = join(props.dir, `endpoint-${++started}.json`);
    writeFileSync(settingsFile, JSON.stringify({ ...settings, port }));
    const process = new SkiffProcess({
      args: ['sftp-server'],
      ...(main === undefined ? {} : { main }),
      ...(props.nodeFlags === undefined ? {} : { nodeFlags: props.nodeFlags }),
      env: {
        SKIFF_DATABASE_URL: props.databaseUrl.reveal(),
        SKIFF_ENDPOINT_FILE: settingsFile,
        SKIFF_HOST_KEY_FILES: hostKeyFile,
        SKIFF_LISTEN_HOST: '127.0.0.1',
        SKIFF_DRAIN_GRACE_SECONDS: '2',
        ...props.env,
        ...env,
      },
    });
    processes.push(process);
    try {
      await process.waitFor('listening SFTP server', (line) => line.msg === 'SFTP server listening', 30_000);
    } catch (error) {
      await process.kill();
      throw error;
    }
    return { process, ...ann.loginsTo(port) };
  };
  return {
    endpointId,
    settings,
    putUser,
    // The port was free when it was chosen; on a busy machine somebody else may have taken it before the server was up.
    start: (env = {}, main?: string) =>
      startOne(env, main).catch((error: unknown) => {
        if (error instanceof Error && error.message.includes('EADDRINUSE')) return startOne(env, main);
        throw error;
      }),
    async close() {
      await Promise.all(processes.map((one) => one.kill()));
      await database.close();
    },
  };
}
