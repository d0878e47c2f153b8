import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { generateHostKey } from '@skiff/credentials/host-key';
import { hashPassword } from '@skiff/credentials/password-hash';
import { readPublicKey } from '@skiff/credentials/ssh-public-key';
import { openDatabase } from '@skiff/database/connect';
import { migrate } from '@skiff/database/migrate';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import type { UserRow } from '@skiff/model/resource-rows';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import type { Login, OpenSshClient } from './openssh-client.ts';
import { SkiffProcess } from './skiff-process.ts';

const TEST_PASSWORD = 'correct horse battery staple';

export interface ServerProcessProps {
  /** Work directory of its own. */
  readonly dir: string;
  readonly databaseUrl: Secret<string>;
  readonly storage: EndpointSettings['storage'];
  readonly events: EndpointSettings['events'];
  readonly env?: Readonly<Record<string, string>>;
  readonly client: OpenSshClient;
}

/** One endpoint `default/test` with the user `ann`, ready for `skiff sftp-server` processes that serve it side by side. */
export interface ServerSite {
  readonly endpointId: number;
  readonly settings: EndpointSettings;
  /** Starts one more process; each has a port of its own. */
  start(env?: Readonly<Record<string, string>>): Promise<ServerProcess>;
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
  const { keyFile, publicKey } = await props.client.generateKey('id_ann');
  const parsed = readPublicKey(publicKey);
  if (!parsed.ok) throw new Error(parsed.reason);
  const ann: UserRow = {
    username: 'ann',
    namespace: 'default',
    name: 'ann',
    uid: 'uid-ann',
    suspended: false,
    expiresAt: null,
    authorizedKeys: [{ name: 'laptop', blob: parsed.blob, expiresAt: null }],
    passwordHash: await hashPassword(new Secret(TEST_PASSWORD)),
    allowedSourceRanges: null,
    home: 'ann',
    permissions: null,
  };
  const putUser = (change: Partial<UserRow>) => resources.applyUsers(endpointId, [{ kind: 'put', row: { ...ann, ...change } }]);
  await putUser({});
  const hostKeyFile = join(props.dir, 'host_key');
  writeFileSync(hostKeyFile, generateHostKey().privateKey.reveal(), { mode: 0o600 });
  const settings: EndpointSettings = {
    namespace: 'default',
    name: 'test',
    port: 2222,
    authenticationMethods: ['PublicKey', 'Password'],
    allowedSourceRanges: null,
    storage: props.storage,
    events: props.events,
    maxSessions: 1000,
  };
  let started = 0;
  const processes: SkiffProcess[] = [];
  return {
    endpointId,
    settings,
    putUser,
    async start(env = {}) {
      const port = await freePort();
      const settingsFile = join(props.dir, `endpoint-${++started}.json`);
      writeFileSync(settingsFile, JSON.stringify({ ...settings, port }));
      const process = new SkiffProcess({
        args: ['sftp-server'],
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
      const login = { host: '127.0.0.1', port, username: 'ann' };
      return { process, byKey: { ...login, credential: { keyFile } }, byPassword: { ...login, credential: { password: TEST_PASSWORD } } };
    },
    async close() {
      await Promise.all(processes.map((one) => one.kill()));
      await database.close();
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
