import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateHostKey } from '@skiff/credentials/host-key';
import { createFileHostKeyStore } from './host-keys/file-host-key-store.ts';
import { eventually } from './testing/eventually.ts';
import { MemoryRows } from './testing/memory-rows.ts';
import { ENDPOINT, startTestOperator, userManifest, WITH_KEY } from './testing/running-operator.ts';
import { temporaryFolder } from './testing/temporary-folder.ts';

const READY = ['Accepted=True Accepted', 'ResolvedRefs=True ResolvedRefs', 'Programmed=True Programmed', 'Ready=True Ready'];
const HASH = '$argon2id$v=19$m=19456,t=2,p=1$4YyGf+0lXdue5IQ3FDZF+Q$DE+Qr6mAQFmxvtEs4Llvzm/yZo7Hd0IYuy4JZRkM9ag';
const WITH_PASSWORD = '  password: {hashSecretRef: {name: hashes, key: bob}}\n';
const ROUTE = `---
apiVersion: skiff.dev/v1alpha1
kind: EventRoute
metadata: {name: inbox}
spec: {endpointRef: {name: main}, targets: [{name: app, http: {url: "http://127.0.0.1:1/"}}]}
`;

async function usernames(rows: MemoryRows): Promise<readonly string[]> {
  const [endpoint] = await rows.endpoints();
  return endpoint === undefined ? [] : (await rows.users(endpoint.id)).map((row) => row.username).sort();
}

test('an endpoint runs, its users and routes become rows, and all say that they are ready', async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  await using running = await startTestOperator({ folder: root.path, repository: rows });
  await running.write('all.yaml', ENDPOINT + userManifest('alice', WITH_KEY) + ROUTE);
  await eventually(() =>
    assert.deepEqual(
      [running.conditions('SftpEndpoint', 'main'), running.conditions('SftpUser', 'alice'), running.conditions('EventRoute', 'inbox')],
      [READY, READY, READY],
    ),
  );
  assert.deepEqual(running.sink.applied.get('default/main')?.settings.storage, { kind: 'local', path: '/srv/files' });
  assert.deepEqual([await usernames(rows), (await rows.routes(1)).map((row) => row.name)], [['alice'], ['inbox']]);
  assert.deepEqual(
    running.operator
      .endpoints()
      .current()
      .map((view) => [view.key, view.settings.port, view.conditions.length]),
    [['default/main', 22, 4]],
  );
});

test('when nothing changes nothing is written, however often everything is looked at', async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  await using running = await startTestOperator({ folder: root.path, repository: rows, resyncMs: 20 });
  await running.write('all.yaml', ENDPOINT + userManifest('alice', WITH_KEY) + ROUTE);
  await eventually(() => assert.deepEqual(running.conditions('EventRoute', 'inbox'), READY));
  const before = [rows.writes, JSON.stringify(running.source.report().resources), running.log.lines.length];
  await sleep(300);
  assert.deepEqual([rows.writes, JSON.stringify(running.source.report().resources), running.log.lines.length], before);
});

test('of two users with one name the older has it, and the other gets it when the older goes', async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  await using running = await startTestOperator({ folder: root.path, repository: rows });
  await running.write('a.yaml', ENDPOINT + userManifest('zoe', `${WITH_KEY}  home: older\n`, 'shared'));
  await eventually(() => assert.deepEqual(running.conditions('SftpUser', 'zoe'), READY));
  await running.write('b.yaml', userManifest('anna', `${WITH_KEY}  home: younger\n`, 'shared'));
  await eventually(() => assert.deepEqual(running.conditions('SftpUser', 'anna').at(-1), 'Ready=False UsernameConflict'));
  assert.deepEqual(
    (await rows.users(1)).map((row) => row.home),
    ['older'],
  );
  await running.write('a.yaml', ENDPOINT);
  await eventually(() => assert.deepEqual(running.conditions('SftpUser', 'anna'), READY));
  assert.deepEqual(
    (await rows.users(1)).map((row) => row.home),
    ['younger'],
  );
});

test('a missing Secret is named, and the user is ready as soon as it is there', async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  await using running = await startTestOperator({ folder: root.path, repository: rows });
  await running.write('a.yaml', ENDPOINT + userManifest('bob', WITH_PASSWORD));
  await eventually(() => assert.ok(running.conditions('SftpUser', 'bob').includes('ResolvedRefs=False SecretNotFound')));
  const secret = (value: string): string => `apiVersion: v1\nkind: Secret\nmetadata: {name: hashes}\nstringData: {${value}}\n`;
  await running.write('s.yaml', secret('alice: x'));
  await eventually(() => assert.ok(running.conditions('SftpUser', 'bob').includes('ResolvedRefs=False SecretKeyNotFound')));
  await running.write('s.yaml', secret('bob: not-a-hash'));
  await eventually(() => assert.ok(running.conditions('SftpUser', 'bob').includes('ResolvedRefs=False SecretInvalid')));
  await running.write('s.yaml', secret(`bob: "${HASH}"`));
  await eventually(() => assert.deepEqual(running.conditions('SftpUser', 'bob'), READY));
  assert.equal((await rows.users(1))[0]?.passwordHash, HASH);
  await running.remove('s.yaml');
  await eventually(async () => assert.equal((await rows.users(1))[0]?.passwordHash, null));
});

test("an endpoint whose broker's Secret is missing or wrong runs all the same, says so, and is ready as soon as it is right", async () => {
  await using root = await temporaryFolder();
  await using running = await startTestOperator({ folder: root.path, repository: new MemoryRows() });
  await running.write(
    'a.yaml',
    `apiVersion: skiff.dev/v1alpha1
kind: SftpEndpoint
metadata: {name: main}
spec:
  storage: {local: {path: /srv/files}}
  events:
    amqp:
      url: amqps://broker.example
      address: files
      authentication: {username: skiff, passwordSecretRef: {name: broker, key: password}}
      tls: {caSecretRef: {name: broker, key: ca.crt}}
`,
  );
  const says = (reason: string) =>
    eventually(() =>
      assert.deepEqual(running.conditions('SftpEndpoint', 'main'), [
        'Accepted=True Accepted',
        `ResolvedRefs=False ${reason}`,
        'Programmed=True Programmed',
        `Ready=False ${reason}`,
      ]),
    );
  const secret = (value: string): string => `apiVersion: v1\nkind: Secret\nmetadata: {name: broker}\nstringData: {${value}}\n`;
  await says('SecretNotFound');
  assert.equal(running.sink.applied.get('default/main')?.settings.events?.kind, 'amqp');
  await running.write('s.yaml', secret('password: p'));
  await says('SecretKeyNotFound');
  await running.write('s.yaml', secret('password: p, ca.crt: none'));
  await says('SecretInvalid');
  await running.write('s.yaml', secret('password: "", ca.crt: "-----BEGIN CERTIFICATE-----"'));
  await says('SecretInvalid');
  await running.write('s.yaml', secret('password: p, ca.crt: "-----BEGIN CERTIFICATE-----"'));
  await eventually(() => assert.deepEqual(running.conditions('SftpEndpoint', 'main'), READY));
});

test('while the database is away nobody loses anything, the endpoint says so, and all is made good afterwards', async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  await using running = await startTestOperator({ folder: root.path, repository: rows, resyncMs: 100 });
  await running.write('a.yaml', ENDPOINT + userManifest('alice', WITH_KEY));
  await eventually(() => assert.deepEqual(running.conditions('SftpUser', 'alice'), READY));
  rows.away = true;
  await running.write('b.yaml', userManifest('bob', WITH_KEY));
  await eventually(() => assert.equal(running.conditions('SftpEndpoint', 'main').at(-1), 'Ready=False DatabaseUnavailable'));
  await eventually(() => assert.equal(running.conditions('SftpUser', 'bob').at(-1), 'Ready=False DatabaseUnavailable'));
  assert.deepEqual(running.conditions('SftpUser', 'alice'), READY);
  rows.away = false;
  await eventually(() => assert.deepEqual([running.conditions('SftpEndpoint', 'main'), running.conditions('SftpUser', 'bob')], [READY, READY]));
  assert.deepEqual(await usernames(rows), ['alice', 'bob']);
});

test('a file broken over a restart deletes nobody; once it is readable what is really gone goes', async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  const users = ['alice', 'bob'].map((name) => userManifest(name, WITH_KEY)).join('');
  {
    await using running = await startTestOperator({ folder: root.path, repository: rows });
    await running.write('endpoint.yaml', ENDPOINT);
    await running.write('users.yaml', users);
    await eventually(async () => assert.deepEqual(await usernames(rows), ['alice', 'bob']));
    await running.write('users.yaml', users.slice(0, -20));
  }
  await using again = await startTestOperator({ folder: root.path, repository: rows, resyncMs: 50 });
  await eventually(() => assert.deepEqual(again.conditions('SftpEndpoint', 'main'), READY));
  await sleep(200);
  assert.deepEqual(await usernames(rows), ['alice', 'bob']);
  await again.write('users.yaml', userManifest('bob', WITH_KEY));
  await eventually(async () => assert.deepEqual(await usernames(rows), ['bob']));
});

test('a deleted endpoint ends, its users leave no rows, and say what is missing; so it is when it went unseen', async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  {
    await using running = await startTestOperator({ folder: root.path, repository: rows });
    await running.write('endpoint.yaml', ENDPOINT);
    await running.write('users.yaml', userManifest('alice', WITH_KEY) + ROUTE);
    await eventually(() => assert.deepEqual(running.conditions('EventRoute', 'inbox'), READY));
    await running.remove('endpoint.yaml');
    await eventually(() => assert.equal(running.conditions('SftpUser', 'alice').at(-1), 'Ready=False EndpointNotFound'));
    await eventually(async () => assert.deepEqual([await usernames(rows), await rows.routes(1), running.sink.removed], [[], [], ['default/main']]));
    assert.deepEqual(running.operator.endpoints().current(), []);
    await running.write('endpoint.yaml', ENDPOINT);
    await eventually(async () => assert.deepEqual(await usernames(rows), ['alice']));
    await eventually(() => assert.deepEqual(running.conditions('SftpUser', 'alice'), READY));
  }
  await using empty = await temporaryFolder();
  await using again = await startTestOperator({ folder: empty.path, repository: rows });
  await eventually(async () => assert.deepEqual(await usernames(rows), []));
  assert.deepEqual(again.source.users(), []);
});

test('users of an endpoint that was never there make no row of it', async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  await using running = await startTestOperator({ folder: root.path, repository: rows });
  await running.write('users.yaml', userManifest('alice', WITH_KEY));
  await eventually(() => assert.ok(running.conditions('SftpUser', 'alice').includes('ResolvedRefs=False EndpointNotFound')));
  assert.deepEqual([await rows.endpoints(), rows.writes], [[], 0]);
});

test('a user that moves to another endpoint leaves the first', async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  await using running = await startTestOperator({ folder: root.path, repository: rows });
  await running.write('endpoints.yaml', ENDPOINT + ENDPOINT.replace('name: main', 'name: other'));
  await running.write('users.yaml', userManifest('alice', WITH_KEY));
  await eventually(() => assert.deepEqual(running.conditions('SftpUser', 'alice'), READY));
  const ids = new Map((await rows.endpoints()).map((row) => [row.name, row.id]));
  await running.write('users.yaml', userManifest('alice', WITH_KEY).replace('name: main', 'name: other'));
  await eventually(async () => assert.deepEqual([(await rows.users(ids.get('main') ?? 0)).length, (await rows.users(ids.get('other') ?? 0)).length], [0, 1]));
});

test('an endpoint whose new spec makes no sense goes on running as it was', async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  await using running = await startTestOperator({ folder: root.path, repository: rows });
  await running.write('e.yaml', ENDPOINT);
  await eventually(() => assert.deepEqual(running.conditions('SftpEndpoint', 'main'), READY));
  await running.write('e.yaml', ENDPOINT.replace('spec: {', 'spec: {allowedSourceRanges: [192.0.2.0/99], '));
  await eventually(() => assert.equal(running.conditions('SftpEndpoint', 'main').at(0), 'Accepted=False Invalid'));
  assert.deepEqual([running.sink.applied.get('default/main')?.settings.allowedSourceRanges, running.sink.removed], [null, []]);
});

test('what the sink says is the condition of the endpoint, and it is asked again when it calls', async () => {
  await using root = await temporaryFolder();
  await using running = await startTestOperator({ folder: root.path, repository: new MemoryRows() });
  running.sink.readiness = { kind: 'notReady', reason: 'Pending', message: 'starting' };
  await running.write('e.yaml', ENDPOINT);
  await eventually(() => assert.equal(running.conditions('SftpEndpoint', 'main').at(-1), 'Ready=Unknown Pending'));
  running.sink.readiness = { kind: 'notReady', reason: 'ListenFailed', message: 'port 22 is in use' };
  running.sink.tell('default/main');
  await eventually(() => assert.equal(running.conditions('SftpEndpoint', 'main').at(-1), 'Ready=False ListenFailed'));
  running.sink.readiness = { kind: 'ready' };
  await eventually(() => assert.deepEqual(running.conditions('SftpEndpoint', 'main'), READY));
});

test('expiry shows in the status when its time comes', async () => {
  await using root = await temporaryFolder();
  await using running = await startTestOperator({ folder: root.path, repository: new MemoryRows() });
  const expiresAt = new Date(Date.now() + 700).toISOString();
  await running.write('a.yaml', ENDPOINT + userManifest('alice', `${WITH_KEY}  expiresAt: "${expiresAt}"\n`));
  await eventually(() => assert.deepEqual(running.conditions('SftpUser', 'alice'), READY), 600);
  await eventually(() => assert.equal(running.conditions('SftpUser', 'alice').at(-1), 'Ready=False Expired'), 1500);
});

test('what is invalid is not tried again until its spec changes, what failed is', async () => {
  await using root = await temporaryFolder();
  await using running = await startTestOperator({ folder: root.path, repository: new MemoryRows() });
  running.sink.readiness = { kind: 'notReady', reason: 'Invalid', message: 'no such disk' };
  await running.write('all.yaml', ENDPOINT);
  await eventually(() => assert.deepEqual(running.conditions('SftpEndpoint', 'main').at(-1), 'Ready=False Invalid'));
  await eventually(() => assert.deepEqual(running.operator.work(), { pending: 0, retrying: 0 }));
  running.sink.readiness = { kind: 'notReady', reason: 'ListenFailed', message: 'port 22 is in use' };
  running.sink.tell('default/main');
  await eventually(() => assert.deepEqual(running.operator.work(), { pending: 0, retrying: 1 }));
});

test('a given host key that is missing is waited for, not tried for', async () => {
  await using root = await temporaryFolder();
  const hostKeys = createFileHostKeyStore({ directory: join(root.path, 'host-keys'), generate: generateHostKey });
  await using running = await startTestOperator({ folder: root.path, repository: new MemoryRows(), hostKeys });
  await running.write('all.yaml', `${ENDPOINT.replace('spec: {', 'spec: {hostKeys: [{name: own, state: Active, secretRef: {name: keys, key: own}}], ')}`);
  await eventually(() => assert.ok(running.conditions('SftpEndpoint', 'main').includes('ResolvedRefs=False SecretNotFound')));
  await eventually(() => assert.deepEqual(running.operator.work(), { pending: 0, retrying: 0 }));
  const stringData = { own: generateHostKey('Ed25519').privateKey.reveal() };
  await running.write('s.yaml', JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys' }, stringData }));
  await eventually(() => assert.deepEqual(running.conditions('SftpEndpoint', 'main'), READY));
});
