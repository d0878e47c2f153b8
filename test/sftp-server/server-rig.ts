import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateHostKey } from '@skiff/credentials/host-key';
import { verifyPassword } from '@skiff/credentials/password-hash';
import { createInstanceRegistry } from '@skiff/database/mysql-instance-registry';
import { createOperationLog } from '@skiff/database/mysql-operation-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { OperationLog, OperationRow } from '@skiff/database/operation-log';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { createMemoryBus } from '@skiff/messaging/memory-bus';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import type { FileEvent } from '@skiff/model/file-event';
import { parseSkiffEvent } from '@skiff/model/parse-file-event';
import type { UserRow } from '@skiff/model/resource-rows';
import { isFileEvent, type SkiffEvent } from '@skiff/model/skiff-event';
import { type InstanceId, lockKeyOf } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { type Clock, systemClock } from '@skiff/runtime/clock';
import { noFailpoints } from '@skiff/runtime/failpoint';
import { silentLogger } from '@skiff/runtime/logger';
import { ByteBudget } from '@skiff/sftp-server/byte-budget';
import { keepLease, type LiveLease } from '@skiff/sftp-server/lease';
import { SftpServer } from '@skiff/sftp-server/sftp-server';
import type { FileStore, StoredFile } from '@skiff/storage/file-store';
import { createMemoryStore } from '@skiff/storage/memory';
import { eventually } from '../support/eventually.ts';
import { type Login, OpenSshClient } from '../support/openssh-client.ts';
import { SftpTestClient } from '../support/sftp-test-client.ts';
import { makeAnn, testEndpoint } from '../support/test-endpoint.ts';

const MIB = 1024 * 1024;
const EVENT_TIMEOUT_MS = 5000;
const STORE_TIMEOUT_MS = 10_000;

export interface ServerRig {
  readonly dir: string;
  readonly database: TestDatabase;
  readonly log: OperationLog;
  readonly store: FileStore;
  /** Takes the next events from the queue, exactly this many; fails when fewer or more come. */
  nextEvents(count: number): Promise<readonly FileEvent[]>;
  /** As `nextEvents`, logins among them. */
  nextSkiffEvents(count: number): Promise<readonly SkiffEvent[]>;
  readonly client: OpenSshClient;
  readonly server: SftpServer;
  /** The server's: once it is released others take over from it. */
  readonly lease: LiveLease;
  /** What the server was started with. */
  readonly settings: EndpointSettings;
  readonly endpointId: number;
  /** Ann's row at first. */
  readonly user: UserRow;
  /** Logs in as `ann` by key. */
  readonly byKey: Login;
  /** Logs in as `ann` by password. */
  readonly byPassword: Login;
  /** Writes ann's row, or another user's. */
  putUser(change: Partial<UserRow>): Promise<void>;
  deleteUser(username: string): Promise<void>;
  /** A session of ann's, or of a user who has just been put, with this server or another; the rig ends it. */
  connect(server?: SftpServer, username?: string): Promise<SftpTestClient>;
  /** What the store holds at a path of ann's. */
  stored(path: string): Promise<StoredFile | undefined>;
  /** Puts a file at a path of ann's, past all servers. Its text is the path, unless another is given. */
  placeFile(path: string, text?: string): Promise<void>;
  /** The unfinished operation that holds a path of ann's. */
  operationOn(path: string): Promise<OperationRow | undefined>;
  /** Opens a path of ann's and writes to it, until other servers can know of it: give it more than a small file. */
  beginUpload(client: SftpTestClient, path: string, content: Buffer): Promise<Buffer>;
  /** A second server process's worth: own instance and lease, same endpoint, store and database. */
  startSecond(): Promise<SftpServer>;
  stop(): Promise<void>;
}

export interface RigProps {
  /** Default: the system's. */
  readonly clock?: Clock;
  readonly store?: FileStore;
  readonly settings?: Partial<EndpointSettings>;
}

/** A server in this process on real MariaDB, with files in memory, for the OpenSSH client. */
export async function startServerRig(props: RigProps = {}): Promise<ServerRig> {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-sftp-'));
  const database = await openTestDatabase();
  const client = new OpenSshClient(join(dir, 'client'));
  const ann = await makeAnn(client);
  const store = props.store ?? createMemoryStore();
  const clock = props.clock ?? systemClock;
  const bus = createMemoryBus();
  const resources = createResourceRepository(database.database);
  const registry = createInstanceRegistry(database.database);
  const endpointId = await resources.endpointId('default', 'test');
  await resources.applyUsers(endpointId, [{ kind: 'put', row: ann.row }]);
  const settings = testEndpoint({ storage: { kind: 'local', path: '/' }, events: null, ...props.settings });
  const hostKeys = [generateHostKey().privateKey];
  const started: { readonly server: SftpServer; readonly lease: LiveLease }[] = [];
  const startOne = async () => {
    const instance = `test-${randomBytes(4).toString('hex')}` as InstanceId;
    const live = await keepLease({ instance, mode: 'test', registry, clock, logger: silentLogger });
    const server = new SftpServer({
      settings,
      endpointId,
      store,
      log: createOperationLog(database.database),
      resources,
      registry,
      lease: live.lease,
      publisher: bus.publisher,
      hostKeys,
      verifyPassword,
      budget: new ByteBudget(96 * MIB),
      clock,
      logger: silentLogger,
      failpoints: noFailpoints,
    });
    started.push({ server, lease: live });
    await server.start({ port: 0, host: '127.0.0.1' });
    return { server, lease: live };
  };
  const { server, lease } = await startOne();
  const received: SkiffEvent[] = [];
  const consumer = bus.consumer();
  await consumer.start((message) => {
    const event = parseSkiffEvent(JSON.parse(message.body.toString()));
    if (event === undefined) throw new Error('the queue holds something that is no event');
    received.push(event);
    return Promise.resolve({ kind: 'complete' });
  });
  const next = async (count: number): Promise<readonly SkiffEvent[]> => {
    for (let waited = 0; received.length < count && waited < EVENT_TIMEOUT_MS; waited += 10) await sleep(10);
    const events = received.splice(0);
    if (events.length !== count) throw new Error(`${count} events were expected, ${events.length} came: ${events.map((event) => event.type).join(', ')}`);
    return events;
  };
  const log = createOperationLog(database.database);
  const clients: SftpTestClient[] = [];
  const operationOn = (path: string) => log.findByLock(lockKeyOf(store.identity, `ann${path}`));
  return {
    dir,
    database,
    log,
    store,
    nextSkiffEvents: next,
    nextEvents: async (count) => (await next(count)).filter(isFileEvent),
    client,
    server,
    lease,
    settings,
    endpointId,
    user: ann.row,
    ...ann.loginsTo(server.port),
    putUser: (change) => resources.applyUsers(endpointId, [{ kind: 'put', row: { ...ann.row, ...change } }]),
    deleteUser: (username) => resources.applyUsers(endpointId, [{ kind: 'delete', key: username }]),
    connect: async (to = server, username = 'ann') => {
      const session = await SftpTestClient.connectEventually({ ...ann.loginsTo(to.port).byKey, username });
      clients.push(session);
      return session;
    },
    stored: (path) => store.stat(`ann${path}` as BlobName, AbortSignal.timeout(STORE_TIMEOUT_MS)),
    placeFile: async (path, text = path) => {
      const bytes = Buffer.from(text);
      const options = { metadata: { from: 'outside' }, signal: AbortSignal.timeout(STORE_TIMEOUT_MS) };
      await store.put(`ann${path}` as BlobName, { parts: [bytes], sizeBytes: bytes.length }, options);
    },
    operationOn,
    beginUpload: async (session, path, content) => {
      const handle = await session.open(path, 'w');
      await session.write(handle, content);
      await eventually(`the operation of ${path}`, () => operationOn(path));
      return handle;
    },
    startSecond: async () => (await startOne()).server,
    stop: async () => {
      for (const session of clients) session.destroy();
      await consumer.stop(AbortSignal.timeout(1000));
      await Promise.all(started.map((one) => one.server.stop({ graceMs: 0 })));
      await Promise.all(started.map((one) => one.lease.release()));
      await store.close();
      await database.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
