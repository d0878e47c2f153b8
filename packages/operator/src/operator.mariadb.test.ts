import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from '@skiff/database/connect';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import type { RowRepository } from './reconcile/reconcile-context.ts';
import { eventually } from './testing/eventually.ts';
import { ENDPOINT, type RunningOperator, startTestOperator, userManifest, WITH_KEY } from './testing/running-operator.ts';
import { temporaryFolder } from './testing/temporary-folder.ts';

const USERS = 4000;
const FILES = 40;
const COLD_LIMIT_MS = 10_000;

let database: TestDatabase;
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());

/** The real repository, with a count of the rows it was told to write. */
function counted(repository: RowRepository): { readonly repository: RowRepository; writes: number } {
  const count = {
    writes: 0,
    repository: {
      endpoints: () => repository.endpoints(),
      endpointId: (namespace: string, name: string) => repository.endpointId(namespace, name),
      users: (id: number) => repository.users(id),
      routes: (id: number) => repository.routes(id),
      applyUsers: (...args: Parameters<RowRepository['applyUsers']>) => {
        count.writes += args[1].length;
        return repository.applyUsers(...args);
      },
      applyRoutes: (...args: Parameters<RowRepository['applyRoutes']>) => {
        count.writes += args[1].length;
        return repository.applyRoutes(...args);
      },
    },
  };
  return count;
}

function publicKeyLine(): string {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  const part = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  return `ssh-ed25519 ${Buffer.concat([part(Buffer.from('ssh-ed25519')), part(Buffer.from(x, 'base64url'))]).toString('base64')}`;
}

function manyUsers(file: number, change: (index: number) => string = () => ''): string {
  const indices = Array.from({ length: USERS / FILES }, (_, index) => file * (USERS / FILES) + index);
  return indices
    .map((index) => {
      const key = `  authorizedKeys: [{name: laptop, publicKey: ${keys[index]}}]\n`;
      const expiry = index % 3 === 0 ? '  expiresAt: "2036-01-01T02:00:00+02:00"\n' : '';
      const more = index % 5 === 0 ? '  allowedSourceRanges: [192.0.2.0/24]\n  permissions: [{path: /, allow: [Read, List]}, {path: /in, allow: []}]\n' : '';
      return userManifest(`user${index}`, key + expiry + more + change(index));
    })
    .join('');
}

const keys = Array.from({ length: USERS }, publicKeyLine);

function ready(running: RunningOperator): number {
  const { resources } = running.source.report();
  return resources.filter(({ ref, conditions }) => ref.startsWith('SftpUser/') && conditions.at(-1)?.status === 'True').length;
}

test('4,000 users: ready within 10 s, silent when nothing changes, one row for one change, repaired when somebody else writes', async (context) => {
  await using root = await temporaryFolder();
  const real = createResourceRepository(database.database);
  const count = counted(real);
  await using running = await startTestOperator({ folder: root.path, repository: count.repository, resyncMs: 1500 });
  const started = performance.now();
  await running.write('endpoint.yaml', ENDPOINT);
  for (let file = 0; file < FILES; file++) await running.write(`users/${file}.yaml`, manyUsers(file));
  await eventually(() => assert.equal(ready(running), USERS), 30_000);
  const coldMs = Math.round(performance.now() - started);
  assert.equal(count.writes, USERS);
  const id = await real.endpointId('default', 'main');
  assert.equal((await real.users(id)).length, USERS);

  const revision = await real.revision(id);
  const lines = running.log.lines.length;
  await sleep(3500);
  assert.deepEqual([count.writes, await real.revision(id), running.log.lines.length], [USERS, revision, lines], 'two resyncs write and log nothing');

  const changed = performance.now();
  await running.write(
    'users/7.yaml',
    manyUsers(7, (index) => (index === 707 ? '  suspend: true\n' : '')),
  );
  await eventually(async () => assert.equal((await real.findUser(id, 'user707'))?.suspended, true));
  const changeMs = Math.round(performance.now() - changed);
  assert.deepEqual([count.writes, await real.revision(id)], [USERS + 1, revision + 1n]);

  await real.applyUsers(id, [{ kind: 'delete', key: 'user1' }]);
  await database.database.queries.updateTable('users').set({ spec: '{"username": "user2"}' }).where('username', '=', 'user2').execute();
  await eventually(async () => assert.equal((await real.findUser(id, 'user1'))?.name, 'user1'));
  await eventually(async () => assert.equal((await real.findUser(id, 'user2'))?.name, 'user2'));
  context.diagnostic(`cold ${coldMs} ms for ${USERS} users, one change in ${changeMs} ms, RSS ${Math.round(process.memoryUsage.rss() / 1024 / 1024)} MiB`);
  assert.ok(coldMs <= COLD_LIMIT_MS, `cold start took ${coldMs} ms`);
});

/** A way to the database that can be cut. */
class CuttableProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;

  constructor(target: { readonly host: string; readonly port: number }) {
    this.#server = createServer((client) => {
      client.on('error', () => client.destroy());
      if (this.#cut) {
        client.destroy();
        return;
      }
      const upstream = connect(target);
      upstream.on('error', () => client.destroy());
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
      }
      client.pipe(upstream).pipe(client);
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return address.port;
  }

  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#cut = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

test('a database that goes away and comes back costs nobody anything', async (context) => {
  await using root = await temporaryFolder();
  await using separate = await disposable();
  const target = new URL(separate.tcpUrl.reveal());
  await using proxy = new CuttableProxy({ host: target.hostname, port: Number(target.port) });
  const url = new URL(target);
  url.port = String(await proxy.listen());
  const pool = openDatabase({ url: new Secret(url.href), logger: silentLogger, poolSize: 4 });
  try {
    await using running = await startTestOperator({ folder: root.path, repository: createResourceRepository(pool), resyncMs: 300 });
    await running.write('a.yaml', ENDPOINT + userManifest('alice', WITH_KEY));
    await eventually(() => assert.equal(running.conditions('SftpUser', 'alice').at(-1), 'Ready=True Ready'));
    proxy.cut();
    await running.write('b.yaml', userManifest('bob', WITH_KEY));
    await eventually(() => assert.equal(running.conditions('SftpUser', 'bob').at(-1), 'Ready=False DatabaseUnavailable'), 20_000);
    await eventually(() => assert.equal(running.conditions('SftpEndpoint', 'main').at(-1), 'Ready=False DatabaseUnavailable'));
    assert.equal(running.conditions('SftpUser', 'alice').at(-1), 'Ready=True Ready');
    const mended = performance.now();
    proxy.mend();
    await eventually(() => assert.equal(running.conditions('SftpUser', 'bob').at(-1), 'Ready=True Ready'), 30_000);
    await eventually(() => assert.equal(running.conditions('SftpEndpoint', 'main').at(-1), 'Ready=True Ready'));
    context.diagnostic(`in force ${Math.round(performance.now() - mended)} ms after the database came back`);
  } finally {
    await pool.close();
  }
});

async function disposable(): Promise<TestDatabase & AsyncDisposable> {
  const made = await openTestDatabase();
  return { ...made, [Symbol.asyncDispose]: () => made.close() };
}
