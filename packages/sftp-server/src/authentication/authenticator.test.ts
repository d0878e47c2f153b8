import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UserRow } from '@skiff/model/resource-rows';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { Authenticator, type LoginAttempt } from './authenticator.ts';

const user: UserRow = {
  username: 'ann',
  namespace: 'default',
  name: 'ann',
  uid: '1',
  suspended: false,
  expiresAt: null,
  authorizedKeys: [{ name: 'laptop', blob: 'KEY', expiresAt: null }],
  passwordHash: 'HASH',
  allowedSourceRanges: null,
  home: 'ann',
  permissions: null,
};

function authenticator(users: ReadonlyMap<string, UserRow>, options: { fresh?: boolean } = {}) {
  const verified: (string | null)[] = [];
  const subject = new Authenticator({
    users: { isFresh: options.fresh ?? true, find: (name) => users.get(name) },
    verifyPassword: (hash, password) => {
      verified.push(hash);
      return Promise.resolve(hash !== null && password.reveal() === 'right');
    },
    endpoint: () => ({ authenticationMethods: ['PublicKey', 'Password'], allowedSourceRanges: null }),
    clock: { now: () => new Date(0), monotonicMs: () => 0 },
    logger: silentLogger,
  });
  return { subject, verified };
}

const byPassword = (username: string, password: string): LoginAttempt => ({
  username,
  remoteAddress: '192.0.2.1',
  credential: { method: 'Password', password: new Secret(password) },
});
const byKey = (username: string, keyBlob: string): LoginAttempt => ({
  username,
  remoteAddress: '192.0.2.1',
  credential: { method: 'PublicKey', keyBlob, fingerprint: 'SHA256:x', proven: true },
});

test('the right password and the right key let a user in', async () => {
  const { subject } = authenticator(new Map([['ann', user]]));
  assert.equal((await subject.authenticate(byPassword('ann', 'right'))).kind, 'accepted');
  assert.equal((await subject.authenticate(byKey('ann', 'KEY'))).kind, 'accepted');
});

test('an unknown user costs a hash all the same', async () => {
  const { subject, verified } = authenticator(new Map());
  assert.deepEqual(await subject.authenticate(byPassword('nobody', 'right')), { kind: 'denied', reason: 'UnknownUser' });
  assert.deepEqual(verified, [null]);
});

test('nobody gets in once the cache is too old', async () => {
  const { subject } = authenticator(new Map([['ann', user]]), { fresh: false });
  assert.deepEqual(await subject.authenticate(byPassword('ann', 'right')), { kind: 'denied', reason: 'DatabaseUnavailable' });
});

test('a changed password, a removed key, a suspension and a deletion end the session that came in by it', async () => {
  const users = new Map([['ann', user]]);
  const { subject } = authenticator(users);
  const password = await subject.authenticate(byPassword('ann', 'right'));
  const key = await subject.authenticate(byKey('ann', 'KEY'));
  assert.ok(password.kind === 'accepted' && key.kind === 'accepted');
  users.set('ann', { ...user, passwordHash: 'OTHER', authorizedKeys: [] });
  assert.equal(subject.judge(password.identity, '192.0.2.1'), 'PasswordWrong');
  assert.equal(subject.judge(key.identity, '192.0.2.1'), 'KeyUnknown');
  users.set('ann', { ...user, suspended: true });
  assert.equal(subject.judge(key.identity, '192.0.2.1'), 'Suspended');
  users.delete('ann');
  assert.equal(subject.judge(key.identity, '192.0.2.1'), 'UnknownUser');
});

test('a change that leaves the credential alone leaves the session alone', async () => {
  const users = new Map([['ann', user]]);
  const { subject } = authenticator(users);
  const key = await subject.authenticate(byKey('ann', 'KEY'));
  assert.ok(key.kind === 'accepted');
  users.set('ann', { ...user, passwordHash: 'OTHER' });
  assert.equal(subject.judge(key.identity, '192.0.2.1'), undefined);
});
