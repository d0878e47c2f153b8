import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientResult } from '../support/openssh-client.ts';
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

function login(way: 'byKey' | 'byPassword' = 'byKey'): Promise<ClientResult> {
  return rig.client.sftp(rig[way], ['ls /']);
}

/** Tries until a login goes as expected; the time it took must be below the promise. */
async function eventually(expected: 'accepted' | 'refused', way: 'byKey' | 'byPassword' = 'byKey'): Promise<void> {
  const startedAt = performance.now();
  for (;;) {
    const { exitCode } = await login(way);
    if ((exitCode === 0) === (expected === 'accepted')) return;
    assert.ok(performance.now() - startedAt < EFFECTIVE_WITHIN_MS, `the login was not ${expected} within ${EFFECTIVE_WITHIN_MS} ms`);
    await sleep(100);
  }
}

test('a user gets in by key and by password', async () => {
  await eventually('accepted', 'byKey');
  await eventually('accepted', 'byPassword');
});

test('a wrong password and an unknown user are refused alike, after the same time', async () => {
  await eventually('accepted', 'byPassword');
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
  const becomes = async (expected: 'accepted' | 'refused') => {
    const startedAt = performance.now();
    while (((await behind.client.sftp(behind.byKey, ['ls'])).exitCode === 0) !== (expected === 'accepted'))
      assert.ok(performance.now() - startedAt < 4 * EFFECTIVE_WITHIN_MS, `the login was not ${expected}`);
  };
  const settings = testEndpoint({ storage: { kind: 'local', path: '/' }, events: null });
  await behind.putUser({ allowedSourceRanges: ['203.0.113.7'] });
  await becomes('refused');
  behind.server.updateSettings({ ...settings, clientAddress: 'Rewritten', allowedSourceRanges: ['127.0.0.1'] });
  await becomes('accepted');
  behind.server.updateSettings({ ...settings, clientAddress: 'Rewritten', allowedSourceRanges: ['10.40.17.0/26'] });
  await becomes('refused');
  behind.server.updateSettings({ ...settings, clientAddress: 'Rewritten', allowedSourceRanges: ['127.0.0.1'] });
  await becomes('accepted');
  await behind.putUser({ allowedSourceRanges: [] });
  await becomes('refused');
});

for (const type of ['ecdsa', 'rsa'] as const) {
  test(`an ${type} key lets its user in`, async () => {
    const { keyFile, publicKey } = await rig.client.generateKey(`id_${type}`, type, type === 'rsa' ? 2048 : 256);
    const [, blob = ''] = publicKey.split(' ');
    await rig.putUser({ authorizedKeys: [{ name: type, blob, expiresAt: null }] });
    const startedAt = performance.now();
    let result = await rig.client.sftp({ ...rig.byKey, credential: { keyFile } }, ['ls']);
    while (result.exitCode !== 0 && performance.now() - startedAt < EFFECTIVE_WITHIN_MS)
      result = await rig.client.sftp({ ...rig.byKey, credential: { keyFile } }, ['ls']);
    assert.equal(result.exitCode, 0, result.stderr);
  });
}

const DENIALS = {
  'a suspended user': { suspended: true },
  'an expired user': { expiresAt: '2020-01-01T00:00:00Z' },
  'a user from outside the allow list': { allowedSourceRanges: ['192.0.2.0/24'] },
  'a user whose allow list is empty': { allowedSourceRanges: [] },
  'a user whose only key has expired': { authorizedKeys: [] },
} as const;

for (const [who, change] of Object.entries(DENIALS)) {
  test(`${who} is refused within ${EFFECTIVE_WITHIN_MS} ms`, async () => {
    await eventually('accepted');
    await rig.putUser(change);
    await eventually('refused');
  });
}

test('a live session ends when its user is suspended, and its unfinished upload stays invisible', async () => {
  await eventually('accepted');
  const session = rig.client.sftp(rig.byKey, ['!sleep 8', 'ls /']);
  await sleep(1000);
  const startedAt = performance.now();
  await rig.putUser({ suspended: true });
  while (rig.server.sessionCount > 0 && performance.now() - startedAt < EFFECTIVE_WITHIN_MS) await sleep(50);
  assert.equal(rig.server.sessionCount, 0);
  assert.notEqual((await session).exitCode, 0);
});

test('a deleted user is refused, and an added one let in', async () => {
  await eventually('accepted');
  await rig.deleteUser('ann');
  await eventually('refused');
  await rig.putUser({});
  await eventually('accepted');
});

test('a user without the permission to write cannot', async () => {
  await rig.putUser({ permissions: [{ path: '/', allow: ['List', 'Read'] }] });
  await sleep(1500);
  const result = await rig.client.sftp(rig.byKey, ['mkdir /not-allowed']);
  assert.notEqual(result.exitCode, 0);
  assert.match(result.stderr, /[Pp]ermission|not permitted/);
});

test('shells, commands and forwarding are refused', async () => {
  const shell = await rig.client.ssh(rig.byKey, ['id']);
  assert.notEqual(shell.exitCode, 0);
  assert.equal(shell.stdout, '');
});
