import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventSchema } from '@skiff/model/event-reference';
import { toOperationId } from '@skiff/model/upload-state';
import { Secret } from '@skiff/runtime/secret';
import type { LoginAttempt } from '@skiff/sftp-protocol/ssh-listener';
import fc from 'fast-check';
import { Compile } from 'typebox/compile';
import type { BestEffortEvent } from '../best-effort-events.ts';
import type { Identity } from './identity.ts';
import { LoginReports, toldUsername } from './login-reports.ts';

const BLOB = Buffer.from('a key');
const identity: Identity = {
  username: 'ann',
  credential: { method: 'PublicKey', keyBlob: '' },
  credentialName: 'laptop',
  validUntil: null,
  user: {
    username: 'ann',
    namespace: 'team',
    name: 'ann',
    uid: '1',
    suspended: false,
    expiresAt: null,
    authorizedKeys: [],
    passwordHash: null,
    allowedSourceRanges: null,
    home: '',
    permissions: null,
  },
};

function reports(emits = true) {
  const events: BestEffortEvent[] = [];
  const dropped: string[] = [];
  let ids = 0;
  const subject = new LoginReports({
    endpoint: { namespace: 'team', name: 'main' },
    emits: () => emits,
    events: { offer: (event) => events.push(event), drop: (type, reason) => dropped.push(`${type} ${reason}`) },
    clock: { now: () => new Date(0), monotonicMs: () => 0 },
    newOperationId: () => toOperationId(Buffer.alloc(16, ++ids)),
  });
  return { subject, dropped, told: () => events.splice(0).map(({ type, data }) => ('reason' in data ? `${type} ${data.reason}` : type)), events };
}

function connection(username = 'ann') {
  const gone = new AbortController();
  const common = { username, remoteAddress: '192.0.2.1', signal: gone.signal };
  return {
    end: () => gone.abort(),
    key: (state: 'offered' | 'proven' | 'refuted'): LoginAttempt => ({ ...common, method: 'publickey', key: { algorithm: 'ssh-ed25519', blob: BLOB, state } }),
    password: (): LoginAttempt => ({ ...common, method: 'password', password: new Secret('hunter2') }),
    none: (): LoginAttempt => ({ ...common, method: 'none' }),
  };
}

test('a client that offers two keys before the right one has logged in, once, and has not failed', () => {
  const { subject, told } = reports();
  const client = connection();
  subject.refused(client.none(), 'UnknownUser');
  subject.refused(client.key('offered'), 'KeyUnknown');
  subject.refused(client.key('offered'), 'KeyUnknown');
  subject.accepted(client.key('offered'), identity);
  assert.deepEqual(told(), []);
  subject.accepted(client.key('proven'), identity);
  client.end();
  assert.deepEqual(told(), ['dev.skiff.login.succeeded']);
});

test('a client that goes away after none of its keys was taken has failed, once', () => {
  const { subject, told } = reports();
  const client = connection();
  subject.refused(client.key('offered'), 'KeyUnknown');
  subject.refused(client.key('offered'), 'KeyExpired');
  assert.deepEqual(told(), []);
  client.end();
  assert.deepEqual(told(), ['dev.skiff.login.failed KeyExpired']);
});

test('a refused password or signature has failed at once, and keys that were offered before are not told again', () => {
  const { subject, told } = reports();
  const client = connection();
  subject.refused(client.key('offered'), 'KeyUnknown');
  subject.refused(client.password(), 'PasswordWrong');
  assert.deepEqual(told(), ['dev.skiff.login.failed PasswordWrong']);
  client.end();
  assert.deepEqual(told(), []);
  subject.refused(connection().key('refuted'), 'SignatureWrong');
  assert.deepEqual(told(), ['dev.skiff.login.failed SignatureWrong']);
});

test('a decision that comes when the client is gone lets nobody in, and a refusal is told all the same', () => {
  const { subject, told } = reports();
  const client = connection();
  client.end();
  subject.accepted(client.password(), identity);
  assert.deepEqual(told(), []);
  subject.refused(client.key('offered'), 'KeyUnknown');
  assert.deepEqual(told(), ['dev.skiff.login.failed KeyUnknown']);
});

test('an endpoint that does not emit them has none, nor are they counted as dropped', () => {
  const { subject, told, dropped } = reports(false);
  for (let tries = 0; tries < 20; tries++) subject.refused(connection().password(), 'PasswordWrong');
  subject.accepted(connection().password(), identity);
  assert.deepEqual([told(), dropped], [[], []]);
});

test('who tries on and on is dropped and counted', () => {
  const { subject, told, dropped } = reports();
  for (let tries = 0; tries < 50; tries++) subject.refused(connection().password(), 'PasswordWrong');
  assert.equal(told().length, 10);
  assert.deepEqual([...new Set(dropped)], ['dev.skiff.login.failed RateLimited']);
  assert.equal(dropped.length, 40);
});

test('whatever name is tried, the event holds to its schema, has no secret, and fits a terminal', () => {
  const failed = Compile(eventSchema('dev.skiff.login.failed'));
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (username) => {
      const { subject, events } = reports();
      subject.refused(connection(username).password(), 'UnknownUser');
      const [event] = events;
      assert.ok(failed.Check(JSON.parse(JSON.stringify(event))));
      assert.ok(!JSON.stringify(event).includes('hunter2'));
      assert.match(event?.data.username ?? '', /^[^\p{C}\p{Zl}\p{Zp}]{0,64}$/u);
      assert.ok(event?.subject !== '');
    }),
  );
  assert.equal(toldUsername('bjørn.straße-東京'), 'bjørn.straße-東京');
  assert.equal(toldUsername('a\u001b[31m\n\u202eb'), 'a\uFFFD[31m\uFFFD\uFFFDb');
});
