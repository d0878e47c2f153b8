import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import type { UserRow } from '@skiff/model/resource-rows';
import { eventually } from '../support/eventually.ts';
import type { Login, OpenSshClient } from '../support/openssh-client.ts';
import { testEndpoint } from '../support/test-endpoint.ts';
import { type ServerRig, startServerRig } from './server-rig.ts';

/** Changes reach a server within its poll of one second. */
const EFFECTIVE_WITHIN_MS = 5000;

let rig: ServerRig;
before(async () => {
  rig = await startServerRig();
});
beforeEach(() => rig.putUser({}));
after(() => rig.stop());

/** Tries until a login goes as expected, within the time that is promised. */
async function becomes(expected: 'accepted' | 'refused', login: Login = rig.byKey, client: OpenSshClient = rig.client): Promise<void> {
  await eventually(
    `a login that is ${expected}`,
    async () => ((await client.sftp(login, ['ls /'])).exitCode === 0) === (expected === 'accepted'),
    EFFECTIVE_WITHIN_MS,
  );
}

test('a user gets in by key and by password', async () => {
  await becomes('accepted', rig.byKey);
  await becomes('accepted', rig.byPassword);
});

test('a wrong password and an unknown user are refused alike', async () => {
  await becomes('accepted', rig.byPassword);
  const wrong = await rig.client.sftp({ ...rig.byPassword, credential: { password: 'wrong' } }, ['ls']);
  const unknown = await rig.client.sftp({ ...rig.byPassword, username: 'nobody', credential: { password: 'wrong' } }, ['ls']);
  for (const result of [wrong, unknown]) {
    assert.notEqual(result.exitCode, 0);
    assert.match(result.stderr, /Permission denied/);
  }
});

test('a key that is not the user’s is refused', async () => {
  const { keyFile } = await rig.client.generateKey('id_other');
  const result = await rig.client.sftp({ ...rig.byKey, credential: { keyFile } }, ['ls']);
  assert.notEqual(result.exitCode, 0);
});

test('behind a firewall that rewrites addresses, a user with ranges gets in through it, and one with an empty list does not', async (t) => {
  const behind = await startServerRig();
  t.after(() => behind.stop());
  const becomesBehind = (expected: 'accepted' | 'refused') => becomes(expected, behind.byKey, behind.client);
  const settings = testEndpoint({ storage: { kind: 'local', path: '/' }, events: null });
  await behind.putUser({ allowedSourceRanges: ['203.0.113.7'] });
  await becomesBehind('refused');
  behind.server.updateSettings({ ...settings, clientAddress: 'Rewritten', allowedSourceRanges: ['127.0.0.1'] });
  await becomesBehind('accepted');
  behind.server.updateSettings({ ...settings, clientAddress: 'Rewritten', allowedSourceRanges: ['10.40.17.0/26'] });
  await becomesBehind('refused');
  behind.server.updateSettings({ ...settings, clientAddress: 'Rewritten', allowedSourceRanges: ['127.0.0.1'] });
  await becomesBehind('accepted');
  await behind.putUser({ allowedSourceRanges: [] });
  await becomesBehind('refused');
});

for (const type of ['ecdsa', 'rsa'] as const) {
  test(`an ${type} key lets its user in`, async () => {
    const { keyFile, publicKey } = await rig.client.generateKey(`id_${type}`, type, type === 'rsa' ? 2048 : 256);
    const [, blob = ''] = publicKey.split(' ');
    await rig.putUser({ authorizedKeys: [{ name: type, blob, expiresAt: null }] });
    await becomes('accepted', { ...rig.byKey, credential: { keyFile } });
  });
}

const DENIALS: Readonly<Record<string, (user: UserRow) => Partial<UserRow>>> = {
  'a suspended user': () => ({ suspended: true }),
  'an expired user': () => ({ expiresAt: '2020-01-01T00:00:00Z' }),
  'a user from outside the allow list': () => ({ allowedSourceRanges: ['192.0.2.0/24'] }),
  'a user whose allow list is empty': () => ({ allowedSourceRanges: [] }),
  'a user whose only key has expired': ({ authorizedKeys }) => ({
    authorizedKeys: authorizedKeys.map((key) => ({ ...key, expiresAt: '2020-01-01T00:00:00Z' })),
  }),
  'a user whose only key was taken away': () => ({ authorizedKeys: [] }),
};

for (const [who, change] of Object.entries(DENIALS)) {
  test(`${who} is refused within ${EFFECTIVE_WITHIN_MS} ms`, async () => {
    await becomes('accepted');
    await rig.putUser(change(rig.user));
    await becomes('refused');
  });
}

test('a live session ends when its user is suspended, and its unfinished upload stays invisible', async () => {
  const client = await rig.connect();
  await rig.beginUpload(client, '/unfinished', randomBytes(2 * 1024 * 1024));
  await eventually('no other session', () => rig.server.sessionCount === 1);
  await rig.putUser({ suspended: true });
  await eventually('the end of the session', () => rig.server.sessionCount === 0, EFFECTIVE_WITHIN_MS);
  await client.ended;
  assert.equal(await rig.stored('/unfinished'), undefined);
});

test('a deleted user is refused, and an added one let in', async () => {
  await becomes('accepted');
  await rig.deleteUser('ann');
  await becomes('refused');
  await rig.putUser({});
  await becomes('accepted');
});

test('a user without the permission to write cannot', async () => {
  await rig.putUser({ permissions: [{ path: '/', allow: ['List', 'Read'] }] });
  await eventually(
    'a refusal',
    async () => /[Pp]ermission|not permitted/.test((await rig.client.sftp(rig.byKey, ['mkdir /not-allowed'])).stderr),
    EFFECTIVE_WITHIN_MS,
  );
});

test('shells, commands and forwarding are refused', async () => {
  await becomes('accepted');
  // What is forwarded to would greet.
  const forwarding = { ...rig.byKey, options: ['-W', `127.0.0.1:${rig.server.port}`] };
  for (const result of [await rig.client.ssh(rig.byKey, []), await rig.client.ssh(rig.byKey, ['id']), await rig.client.ssh(forwarding, [])]) {
    assert.notEqual(result.exitCode, 0);
    assert.equal(result.stdout, '');
    assert.doesNotMatch(result.stderr, /Permission denied/);
  }
});
