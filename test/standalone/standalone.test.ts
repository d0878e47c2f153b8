import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { type Login, OpenSshClient } from '../support/openssh-client.ts';
import { type LogLine, SkiffProcess } from '../support/skiff-process.ts';

/** A manifest that was saved is in force, or refused with a reason, within this time. */
const EFFECTIVE_WITHIN_MS = 5000;

let dir: string;
let database: TestDatabase;
let skiff: SkiffProcess;
let client: OpenSshClient;
let login: Login;
let publicKey: string;
const manifests = () => join(dir, 'manifests');

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-standalone-'));
  database = await openTestDatabase();
  client = new OpenSshClient(join(dir, 'client'));
  const key = await client.generateKey('id_ann');
  publicKey = key.publicKey;
  const port = await freePort();
  login = { host: '127.0.0.1', port, username: 'ann', credential: { keyFile: key.keyFile } };
  await mkdir(manifests());
  await writeFile(join(manifests(), 'endpoint.yaml'), endpoint('partners', port, `local: { path: ${join(dir, 'files')} }`));
  await writeFile(join(manifests(), 'users.yaml'), user('ann', 'partners', `authorizedKeys: [{ name: laptop, publicKey: "${publicKey}" }]`));
  await mkdir(join(dir, 'files'));
  skiff = start(database.url.reveal());
  await skiff.waitFor('listening server', (line) => line.msg === 'SFTP server listening');
});
after(async () => {
  assert.equal(await skiff.stop(), 0);
  await database.close();
  await rm(dir, { recursive: true, force: true });
});

function start(databaseUrl: string, folder = manifests(), state = join(dir, 'state')): SkiffProcess {
  return new SkiffProcess({
    args: ['standalone', '--manifests', folder, '--state', state],
    env: { SKIFF_DATABASE_URL: databaseUrl, SKIFF_LISTEN_HOST: '127.0.0.1', SKIFF_DRAIN_GRACE_SECONDS: '1' },
  });
}

function endpoint(name: string, port: number, storage: string): string {
  return `apiVersion: skiff.dev/v1alpha1
kind: SftpEndpoint
metadata: { name: ${name} }
spec:
  service: { port: ${port} }
  storage:
    ${storage}
`;
}

function user(name: string, endpointName: string, more: string): string {
  return `apiVersion: skiff.dev/v1alpha1
kind: SftpUser
metadata: { name: ${name} }
spec:
  endpointRef: { name: ${endpointName} }
  username: ${name}
  ${more}
`;
}

function conditionOf(ref: string, condition: string): (line: LogLine) => boolean {
  return (line) => line.msg === 'condition changed' && line.ref === ref && line.condition === condition && line.status === 'False';
}

async function logIn(): Promise<void> {
  await eventually('a login', async () => (await client.sftp(login, ['ls'])).exitCode === 0, EFFECTIVE_WITHIN_MS);
}

test('a user of the folder logs in, and files lie in the directory', logIn);

test('a user of an endpoint that does not exist gets a condition that names it', async () => {
  await writeFile(join(manifests(), 'lost.yaml'), user('lost', 'nowhere', `authorizedKeys: [{ name: laptop, publicKey: "${publicKey}" }]`));
  const line = await skiff.waitFor('the condition', conditionOf('SftpUser/default/lost', 'ResolvedRefs'), EFFECTIVE_WITHIN_MS);
  assert.equal(line.reason, 'EndpointNotFound');
  assert.match(String(line.message), /nowhere/);
});

test('a missing Secret is named in a condition, and the user’s key still works', async () => {
  const spec = `authorizedKeys: [{ name: laptop, publicKey: "${publicKey}" }]\n  password: { hashSecretRef: { name: not-there, key: bob } }`;
  await writeFile(join(manifests(), 'bob.yaml'), user('bob', 'partners', spec));
  const line = await skiff.waitFor('the condition', conditionOf('SftpUser/default/bob', 'ResolvedRefs'), EFFECTIVE_WITHIN_MS);
  assert.equal(line.reason, 'SecretNotFound');
  assert.match(String(line.message), /not-there/);
});

test('a malformed manifest is told with file and line, and nothing that was in force goes', async () => {
  await writeFile(join(manifests(), 'broken.yaml'), 'apiVersion: skiff.dev/v1alpha1\nkind: SftpUser\nmetadata: {{{\n');
  const line = await skiff.waitFor('the problem', (one) => JSON.stringify(one).includes('broken.yaml') && one.level !== 'info', EFFECTIVE_WITHIN_MS);
  assert.equal(line.line, 4);
  await logIn();
});

test('a misspelt field is refused with the right one', async () => {
  await writeFile(join(manifests(), 'typo.yaml'), user('typo', 'partners', `authorizedKey: []`));
  const line = await skiff.waitFor('the problem', (one) => JSON.stringify(one).includes('authorizedKey') && one.level !== 'info', EFFECTIVE_WITHIN_MS);
  assert.match(JSON.stringify(line), /authorizedKeys/);
});

test('an unreachable blob account is a condition for the platform and a failure for the client; logins go on', async () => {
  const port = await freePort();
  const deadPort = await freePort();
  const storage = `azureBlob: { account: unreachable, container: files, endpoint: "https://127.0.0.1:${deadPort}" }`;
  await writeFile(
    join(manifests(), 'far.yaml'),
    `${endpoint('far', port, storage)}---\n${user('eve', 'far', `authorizedKeys: [{ name: laptop, publicKey: "${publicKey}" }]`)}`,
  );
  const line = await skiff.waitFor(
    'the condition',
    (one) => one.msg === 'condition changed' && one.ref === 'SftpEndpoint/default/far' && one.reason === 'StorageUnavailable',
    30_000,
  );
  assert.match(String(line.message), /transfers fail/);
  const result = await client.sftp({ ...login, port, username: 'eve' }, [`put ${join(manifests(), 'far.yaml')} /x`]);
  assert.notEqual(result.exitCode, 0);
  assert.match(result.stderr, /storage|busy|Failure|refuses/i);
  assert.ok(skiff.running);
});

test('a database that cannot be reached at the start is waited for, and told of', async () => {
  const waiting = start(`mysql://skiff:secret@127.0.0.1:${await freePort()}/skiff`, manifests(), join(dir, 'state-2'));
  try {
    const line = await waiting.waitFor('the notice', (one) => one.msg.startsWith('waiting for the database'), 15_000);
    assert.ok(!JSON.stringify(line).includes('secret'));
    await sleep(1000);
    assert.ok(waiting.running);
  } finally {
    assert.equal(await waiting.stop(), 0);
  }
});

test('a setting that cannot be used ends the program at once, with the setting’s name', async () => {
  const wrong = new SkiffProcess({ args: ['standalone'], env: { SKIFF_LOG_LEVEL: 'loud' } });
  assert.equal(await wrong.ended(10_000), 2);
  assert.match(wrong.stderr, /SKIFF_LOG_LEVEL.*loud/);
});
