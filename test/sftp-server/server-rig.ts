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
import type { OperationLog } from '@skiff/database/operation-log';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { createMemoryBus } from '@skiff/messaging/memory-bus';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import type { FileEvent } from '@skiff/model/file-event';
import { parseSkiffEvent } from '@skiff/model/parse-file-event';
import type { UserRow } from '@skiff/model/resource-rows';
import { isFileEvent, type SkiffEvent } from '@skiff/model/skiff-event';
import type { InstanceId } from '@skiff/model/upload-state';
import { type Clock, systemClock } from '@skiff/runtime/clock';
import { noFailpoints } from '@skiff/runtime/failpoint';
import { silentLogger } from '@skiff/runtime/logger';
import { ByteBudget } from '@skiff/sftp-server/byte-budget';
import { keepLease, type LiveLease } from '@skiff/sftp-server/lease';
import { SftpServer } from '@skiff/sftp-server/sftp-server';
import type { FileStore } from '@skiff/storage/file-store';
import { createMemoryStore } from '@skiff/storage/memory';
import { type Login, OpenSshClient } from '../support/openssh-client.ts';
import { makeAnn, testEndpoint } from '../support/test-endpoint.ts';

const MIB = 1024 * 1024;
const EVENT_TIMEOUT_MS = 5000;

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
  /** Logs in as `ann` by key. */
  readonly byKey: Login;
  /** Logs in as `ann` by password. */
  readonly byPassword: Login;
  /** Writes ann's row, or another user's. */
  putUser(change: Partial<UserRow>): Promise<void>;
  deleteUser(username: string): Promise<void>;
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
  const servers: SftpServer[] = [];
  const leases: LiveLease[] = [];
  const startOne = async () => {
    const instance = `test-${randomBytes(4).toString('hex')}` as InstanceId;
    const live = await keepLease({ instance, mode: 'test', registry, clock, logger: silentLogger });
    leases.push(live);
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
    servers.push(server);
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
  return {
    dir,
    database,
    log: createOperationLog(database.database),
    store,
    nextSkiffEvents: next,
    nextEvents: async (count) => (await next(count)).filter(isFileEvent),
    client,
    server,
    lease,
    settings,
    endpointId,
    ...ann.loginsTo(server.port),
    putUser: (change) => resources.applyUsers(endpointId, [{ kind: 'put', row: { ...ann.row, ...change } }]),
    deleteUser: (username) => resources.applyUsers(endpointId, [{ kind: 'delete', key: username }]),
    startSecond: async () => (await startOne()).server,
    stop: async () => {
      await consumer.stop(AbortSignal.timeout(1000));
      await Promise.all(servers.map((one) => one.stop({ graceMs: 0 })));
      await Promise.all(leases.map((one) => one.release()));
      await store.close();
      await database.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
