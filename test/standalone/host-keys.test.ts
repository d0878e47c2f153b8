import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { generateHostKey } from '@skiff/credentials/host-key';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import type { HostKeyStatus } from '@skiff/model/host-key';
import { readStatusFile } from '@skiff/operator/status-file';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { type Login, OpenSshClient } from '../support/openssh-client.ts';
import { SkiffProcess, servesUsers } from '../support/skiff-process.ts';

const TIMEOUT_MS = 30_000;

let dir: string;
let database: TestDatabase;
let skiff: SkiffProcess;
let client: OpenSshClient;
let login: Login;
let port: number;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-host-keys-'));
  database = await openTestDatabase();
  client = new OpenSshClient(join(dir, 'client'));
  const { keyFile, publicKey } = await client.generateKey('id_ann');
  port = await freePort();
  login = { host: '127.0.0.1', port, username: 'ann', credential: { keyFile } };
  await mkdir(join(dir, 'files'));
  await mkdir(join(dir, 'manifests'));
  const user = { endpointRef: { name: 'main' }, username: 'ann', authorizedKeys: [{ name: 'laptop', publicKey }] };
  await writeManifest('user', { apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpUser', metadata: { name: 'ann' }, spec: user });
  await writeEndpoint(undefined);
  skiff = new SkiffProcess({
    args: ['standalone', '--manifests', join(dir, 'manifests'), '--state', join(dir, 'state')],
    env: { SKIFF_DATABASE_URL: database.url.reveal(), SKIFF_LISTEN_HOST: '127.0.0.1', SKIFF_DRAIN_GRACE_SECONDS: '1' },
  });
  await skiff.waitFor('ann', servesUsers(1), TIMEOUT_MS);
});
after(async () => {
  const exitCode = await skiff?.stop();
  await database?.close();
  await rm(dir, { recursive: true, force: true });
  assert.equal(exitCode, 0);
});

/** YAML is a superset of JSON. */
async function writeManifest(name: string, manifest: object): Promise<void> {
  await writeFile(join(dir, 'manifests', `${name}.yaml`), JSON.stringify(manifest));
}

async function writeEndpoint(hostKeys: readonly object[] | undefined): Promise<void> {
  const spec = { service: { port }, storage: { local: { path: join(dir, 'files') } }, ...(hostKeys === undefined ? {} : { hostKeys }) };
  await writeManifest('endpoint', { apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpEndpoint', metadata: { name: 'main' }, spec });
}

async function statusOf(): Promise<{ readonly hostKeys: readonly HostKeyStatus[]; readonly resolved: string }> {
  const report = await readStatusFile(join(dir, 'state'), AbortSignal.timeout(TIMEOUT_MS));
  const found = report?.resources.find(({ ref }) => ref === 'SftpEndpoint/default/main');
  const resolved = found?.conditions.find(({ type }) => type === 'ResolvedRefs');
  return { hostKeys: found?.hostKeys ?? [], resolved: `${resolved?.status} ${resolved?.reason}` };
}

/** Waits until the status shows these keys, as `name state`. */
async function untilShown(...expected: readonly string[]): Promise<readonly HostKeyStatus[]> {
  const wanted = expected.toSorted().join();
  const ask = async () => {
    const { hostKeys } = await statusOf();
    const seen = hostKeys.map(({ name, state }) => `${name} ${state}`);
    return seen.sort().join() === wanted && hostKeys;
  };
  return eventually(`the status shows ${wanted}`, ask, TIMEOUT_MS);
}

/** A partner whose client knows these keys and accepts no others. */
async function partner(name: string, keys: readonly HostKeyStatus[]): Promise<Login> {
  const file = join(dir, name);
  await writeFile(file, keys.map(({ publicKey }) => `[127.0.0.1]:${port} ${publicKey}\n`).join(''));
  return { ...login, options: ['-o', 'StrictHostKeyChecking=yes', '-o', `UserKnownHostsFile=${file}`] };
}

async function getsIn(who: Login): Promise<boolean> {
  const { exitCode, stderr } = await client.sftp(who, ['ls']);
  if (exitCode !== 0) assert.match(stderr, /Host key verification failed/);
  return exitCode === 0;
}

function keyOf(keys: readonly HostKeyStatus[], name: string): HostKeyStatus {
  const found = keys.find((key) => key.name === name);
  assert.ok(found, name);
  return found;
}

test('a rotation: partners are given the next key first, and none of them, and no session, notices the change', async () => {
  const old = keyOf(await untilShown('ed25519 Active'), 'ed25519');
  const unprepared = await partner('knows-old', [old]);
  assert.equal(await getsIn(unprepared), true);

  await writeEndpoint([
    { name: 'ed25519', state: 'Active' },
    { name: 'y27', state: 'Next' },
  ]);
  const shown = await untilShown('ed25519 Active', 'y27 Next');
  assert.equal(keyOf(shown, 'ed25519').publicKey, old.publicKey);
  const prepared = await partner('knows-both', shown);
  const onlyNext = await partner('knows-next', [keyOf(shown, 'y27')]);
  assert.deepEqual([await getsIn(unprepared), await getsIn(prepared), await getsIn(onlyNext)], [true, true, false]);

  const [opened, flag] = [join(dir, 'opened'), join(dir, 'changed')];
  const session = client.sftp(
    prepared,
    ['ls', `!touch ${opened}`, `!while [ ! -e ${flag} ]; do sleep 0.1; done`, 'put /etc/hostname', 'ls'],
    AbortSignal.timeout(2 * TIMEOUT_MS),
  );
  await eventually('the session', () => existsSync(opened), TIMEOUT_MS);
  await writeEndpoint([
    { name: 'ed25519', state: 'Retired' },
    { name: 'y27', state: 'Active' },
  ]);
  await untilShown('ed25519 Retired', 'y27 Active');
  assert.deepEqual([await getsIn(unprepared), await getsIn(prepared), await getsIn(onlyNext)], [false, true, true]);
  await writeFile(flag, '');
  const { exitCode, stderr } = await session;
  assert.equal(exitCode, 0, stderr);

  await writeEndpoint([{ name: 'y27', state: 'Active' }]);
  await untilShown('y27 Active');
  assert.deepEqual([await getsIn(prepared), await getsIn(onlyNext)], [true, true]);
});

test('keys of every algorithm are served side by side, a given one among them', async () => {
  const given = generateHostKey('RSA');
  await writeManifest('keys', { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys' }, stringData: { rsa: given.privateKey.reveal() } });
  await writeEndpoint([
    { name: 'y27', state: 'Active' },
    { name: 'ec', state: 'Active', algorithm: 'ECDSA' },
    { name: 'oldserver', state: 'Active', secretRef: { name: 'keys', key: 'rsa' } },
  ]);
  const shown = await untilShown('y27 Active', 'ec Active', 'oldserver Active');
  assert.equal(keyOf(shown, 'oldserver').fingerprint, given.fingerprint);
  for (const name of ['y27', 'ec', 'oldserver']) assert.equal(await getsIn(await partner(`knows-${name}`, [keyOf(shown, name)])), true, name);
});

test('a given key that cannot be used is told, and what was served goes on', async () => {
  const before = await untilShown('y27 Active', 'ec Active', 'oldserver Active');
  await writeManifest('keys', { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys' }, stringData: { rsa: 'damaged' } });
  await skiff.waitFor(
    'the condition',
    (line) => line.msg === 'condition changed' && line.condition === 'ResolvedRefs' && line.reason === 'SecretInvalid',
    TIMEOUT_MS,
  );
  for (const name of ['y27', 'oldserver']) assert.equal(await getsIn(await partner(`knows-${name}`, [keyOf(before, name)])), true, name);
  assert.deepEqual((await statusOf()).hostKeys, before);
});
