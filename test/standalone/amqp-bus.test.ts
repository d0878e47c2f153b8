import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createOperationLog } from '@skiff/database/mysql-operation-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { createAmqpConsumer, createAmqpPublisher } from '@skiff/messaging/amqp';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { type Certificates, makeCertificates } from '../emulators/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { type HttpInbox, startHttpInbox } from '../support/http-inbox.ts';
import { type Login, OpenSshClient } from '../support/openssh-client.ts';
import { type PrivateRabbitMq, startPrivateRabbitMq } from '../support/private-rabbitmq.ts';
import { SkiffProcess, servesUsers } from '../support/skiff-process.ts';
import { testEndpoint } from '../support/test-endpoint.ts';

const PASSWORD = 'p4ss word';
const ADDRESS = '/queue/files';
const DEAD = '/queue/files-dead';

let dir: string;
let certificates: Certificates;
let broker: PrivateRabbitMq;
let database: TestDatabase;
let inbox: HttpInbox;
let client: OpenSshClient;
let login: Login;
let skiff: SkiffProcess[] = [];

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-amqp-bus-'));
  certificates = await makeCertificates(join(dir, 'certificates'));
  // One after the other: when one does not start, the others are known and ended.
  broker = await startPrivateRabbitMq(certificates);
  database = await openTestDatabase();
  inbox = await startHttpInbox();
  client = new OpenSshClient(join(dir, 'client'));
  const { keyFile, publicKey } = await client.generateKey('id_ann');
  login = { host: '127.0.0.1', port: await freePort(), username: 'ann', credential: { keyFile } };
  await Promise.all([mkdir(join(dir, 'manifests')), mkdir(join(dir, 'files'))]);
  await writeFile(join(dir, 'manifests', 'all.yaml'), manifests(publicKey));
  await writeFile(join(dir, 'file.txt'), 'content');
});
after(async () => {
  await Promise.all(skiff.map((process) => process.kill()));
  await Promise.all([inbox?.close(), broker?.stop(), database?.close()]);
  await rm(dir, { recursive: true, force: true });
});

function manifests(publicKey: string): string {
  return `apiVersion: skiff.dev/v1alpha1
kind: SftpEndpoint
metadata: { name: test }
spec:
  service: { port: ${login.port} }
  storage: { local: { path: ${join(dir, 'files')} } }
  events:
    amqp:
      url: ${broker.tlsUrl}
      address: ${ADDRESS}
      deadLetterAddress: ${DEAD}
      authentication: { username: skiff, passwordSecretRef: { name: broker, key: password } }
      tls: { caSecretRef: { name: broker, key: ca.crt } }
---
apiVersion: skiff.dev/v1alpha1
kind: SftpUser
metadata: { name: ann }
spec: { endpointRef: { name: test }, username: ann, authorizedKeys: [{ name: laptop, publicKey: "${publicKey}" }] }
---
apiVersion: skiff.dev/v1alpha1
kind: EventRoute
metadata: { name: inbox }
spec: { endpointRef: { name: test }, targets: [{ name: app, http: { url: "${inbox.url}" } }] }
`;
}

function secret(password: string): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'broker' }, stringData: { password, 'ca.crt': certificates.ca } });
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): SkiffProcess {
  const common = { SKIFF_DATABASE_URL: database.url.reveal(), SKIFF_LISTEN_HOST: '127.0.0.1', SKIFF_DRAIN_GRACE_SECONDS: '1' };
  const started = new SkiffProcess({ args, env: { ...common, SKIFF_ALLOWED_TARGET_RANGES: '127.0.0.0/8', ...env } });
  skiff.push(started);
  return started;
}

async function upload(name: string): Promise<void> {
  const { exitCode, stderr } = await client.sftp(login, [`put ${join(dir, 'file.txt')} ${name}`]);
  assert.equal(exitCode, 0, stderr);
}

const delivered = (name: string, timeoutMs?: number) => inbox.waitFor(name, ({ body }) => body.includes(`/${name}"`), timeoutMs);

async function stopAll(): Promise<void> {
  for (const process of skiff) assert.equal(await process.stop(), 0, process.describe());
  skiff = [];
}

describe('an endpoint whose event bus is an AMQP 1.0 broker', () => {
  it('stores files while its broker lets nobody in, says why it waits, and sends their events once the Secret is right', async () => {
    const running = start(['standalone', '--manifests', join(dir, 'manifests'), '--state', join(dir, 'state')]);
    await running.waitFor('condition', (line) => line.msg === 'condition changed' && line.reason === 'SecretNotFound' && line.condition === 'ResolvedRefs');
    await running.waitFor('ann', servesUsers(1), 60_000);
    await upload('early.txt');
    const uploadedAt = performance.now();
    await running.waitFor('reason', (line) => JSON.stringify(line).includes('password has not reached this process: Secret broker, key password'));
    await writeFile(join(dir, 'manifests', 'secret.yaml'), secret('wrong'));
    await running.waitFor(
      'refusal',
      (line) => line.msg === 'receiving failed, connecting again' && /denied|unauthori|refused|SASL/i.test(JSON.stringify(line)),
    );
    await upload('waiting.txt');
    assert.equal(inbox.received.length, 0);
    // What the condition EventsDelayed goes by: attempts that failed make no event younger.
    const endpointId = await createResourceRepository(database.database).endpointId('default', 'test');
    const sinceMs = performance.now() - uploadedAt;
    const { waiting, oldestAgeMs } = await createOperationLog(database.database).outboxStatus(endpointId);
    assert.ok(waiting === 2 && oldestAgeMs >= sinceMs, `${waiting} wait, the oldest for ${oldestAgeMs} ms, of ${sinceMs} ms`);
    await writeFile(join(dir, 'manifests', 'secret.yaml'), secret(PASSWORD));
    await Promise.all([delivered('early.txt', 60_000), delivered('waiting.txt', 60_000)]);
    await upload('late.txt');
    await delivered('late.txt');
    assert.doesNotMatch(running.lines.map((line) => JSON.stringify(line)).join('\n'), new RegExp(`${PASSWORD}|BEGIN CERTIFICATE`));
    await stopAll();
  });

  it('works in pods, from mounted secrets, and sets aside what is no event', async () => {
    const at = (name: string): string => join(dir, name);
    const events = {
      kind: 'amqp' as const,
      url: broker.tlsUrl,
      address: ADDRESS,
      deadLetterAddress: DEAD,
      username: 'skiff',
      secrets: { password: { name: 'broker', key: 'password' }, ca: { name: 'broker', key: 'ca.crt' } },
    };
    const settings = testEndpoint({ port: login.port, storage: { kind: 'local', path: at('files') }, events });
    await mkdir(at('bus'));
    await Promise.all([
      writeFile(at('endpoint.json'), JSON.stringify(settings)),
      writeFile(join(at('bus'), 'password'), `${PASSWORD}\n`),
      writeFile(join(at('bus'), 'ca'), certificates.ca),
    ]);
    const keys = at('host-keys');
    await mkdir(keys);
    await client.generateKey('host').then(async ({ keyFile }) => writeFile(join(keys, 'ssh_host_ed25519_key'), await readFile(keyFile), { mode: 0o600 }));
    const env = { SKIFF_ENDPOINT_FILE: at('endpoint.json'), SKIFF_EVENT_BUS_SECRETS_DIR: at('bus') };
    await rm(client.knownHostsFile, { force: true });
    const server = start(['sftp-server'], { ...env, SKIFF_HOST_KEY_FILES: keys });
    start(['router'], env);
    await server.waitFor('listening server', (line) => line.msg === 'SFTP server listening');
    await upload('from-a-pod.txt');
    await delivered('from-a-pod.txt');
    const options = { url: broker.url, login: { username: 'skiff', password: new Secret(PASSWORD) }, logger: silentLogger };
    const other = createAmqpPublisher({ ...options, address: ADDRESS });
    const junk = { messageId: 'junk', contentType: 'text/plain', subject: '', properties: {}, body: Buffer.from('not an event') };
    await other.publish([junk], AbortSignal.timeout(10_000));
    const aside: (string | undefined)[] = [];
    const dead = createAmqpConsumer({ ...options, address: DEAD, concurrency: 1 });
    await dead.start(async ({ messageId }) => {
      aside.push(messageId);
      return { kind: 'complete' };
    });
    await eventually('the message that is no event', () => aside.length > 0, 60_000);
    await Promise.all([other.close(), dead.stop(AbortSignal.timeout(2_000))]);
    assert.deepEqual(aside, ['junk']);
    await stopAll();
  });
});
