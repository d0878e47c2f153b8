import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import { test } from 'node:test';
import ssh2 from 'ssh2';
import { sshString } from '../ssh2-private/raw-packet.ts';
import { OpensshClient } from '../testing/openssh-client.ts';
import { TestClient } from '../testing/ssh2-client.ts';
import { newKey, startTestListener, TEST_PASSWORD } from '../testing/test-listener.ts';
import type { LoginAttempt, LoginDecision } from './ssh-listener.ts';

function passwordRequest(username: string, password: string): Buffer {
  return Buffer.concat([Buffer.from([50]), sshString(username), sshString('ssh-connection'), sshString('password'), Buffer.from([0]), sshString(password)]);
}

test('an RSA key signs with SHA-2, after a query that proves nothing', async () => {
  const key = newKey('rsa');
  await using server = await startTestListener({ keys: [key.public.split(' ')[1] ?? ''] });
  using client = new OpensshClient(server.listener.port);
  const { status, output } = await client.sftpWithKey(key.private, 'pwd\n');
  assert.equal(status, 0, output);
  assert.deepEqual(
    server.attempts.map(({ method, key: offered }) => [method, offered?.algorithm, offered?.state]),
    [
      ['none', undefined, undefined],
      ['publickey', 'rsa-sha2-512', 'offered'],
      ['publickey', 'rsa-sha2-512', 'proven'],
    ],
  );
});

for (const type of ['ed25519', 'ecdsa'] as const) {
  test(`an ${type} key logs in`, async () => {
    const key = newKey(type);
    await using server = await startTestListener({ keys: [key.public.split(' ')[1] ?? ''] });
    using client = new TestClient(server.listener.port, { privateKey: key.private });
    await client.login();
  });
}

test('a signature by another key is never a login, whatever the application decides', async () => {
  const shown = ssh2.utils.parseKey(newKey().public);
  assert.ok(!(shown instanceof Error));
  const states: (string | undefined)[] = [];
  await using server = await startTestListener({
    authenticate: async (attempt): Promise<LoginDecision<string>> => {
      states.push(attempt.key?.state);
      return { kind: 'accept', identity: attempt.username };
    },
  });
  using client = await new TestClient(server.listener.port).handshake();
  for (const signature of [Buffer.alloc(64, 1), Buffer.alloc(0), Buffer.alloc(3000, 7)]) {
    const key = [sshString('ssh-ed25519'), sshString(shown.getPublicSSH())];
    const request = [sshString('tester'), sshString('ssh-connection'), sshString('publickey'), Buffer.from([1]), ...key];
    client.sendRaw(Buffer.concat([Buffer.from([50]), ...request, sshString(Buffer.concat([sshString('ssh-ed25519'), sshString(signature)]))]));
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(states, ['refuted', 'refuted', 'refuted']);
  assert.equal(server.listener.connections.length, 0);
});

test('an accepted query is not a login', async () => {
  const key = ssh2.utils.parseKey(newKey().private);
  assert.ok(!(key instanceof Error));
  await using server = await startTestListener({ authenticate: async (attempt) => ({ kind: 'accept', identity: attempt.username }), methods: ['publickey'] });
  using client = await new TestClient(server.listener.port).handshake();
  const query = [
    sshString('tester'),
    sshString('ssh-connection'),
    sshString('publickey'),
    Buffer.from([0]),
    sshString('ssh-ed25519'),
    sshString(key.getPublicSSH()),
  ];
  client.sendRaw(Buffer.concat([Buffer.from([50]), ...query]));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(server.listener.connections.length, 0);
});

test('pipelined requests are judged in order, one at a time, and the identity is that of the accepted one', async () => {
  const judged: (string | undefined)[] = [];
  let running = 0;
  await using server = await startTestListener({
    authenticate: async (attempt: LoginAttempt): Promise<LoginDecision<string>> => {
      assert.equal(++running, 1);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
      running--;
      const password = attempt.password?.reveal();
      judged.push(password);
      return password === 'third' ? { kind: 'accept', identity: `${attempt.username}:${password}` } : { kind: 'deny' };
    },
    openSession: (identity) => {
      judged.push(identity);
      return { backend: server.backend };
    },
  });
  using client = await new TestClient(server.listener.port).handshake();
  for (const password of ['first', 'second', 'third', 'fourth', 'fifth']) client.sendRaw(passwordRequest('tester', password));
  client.sendRaw(Buffer.concat([Buffer.from([90]), sshString('session'), Buffer.from([0, 0, 0, 0, 0, 32, 0, 0, 0, 0, 128, 0])]));
  await new Promise((resolve) => setTimeout(resolve, 200));
  // The channel was asked for before the login was decided, which ends the connection.
  assert.deepEqual(judged.filter((entry) => entry !== undefined).slice(0, 1), ['first']);
  assert.equal(client.isClosed, true);
  judged.length = 0;
  running = 0;
  using patient = await new TestClient(server.listener.port).handshake();
  for (const password of ['first', 'second', 'third', 'fourth', 'fifth']) patient.sendRaw(passwordRequest('tester', password));
  for (let wait = 0; wait < 100 && server.listener.connections.length === 0; wait++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(judged, ['first', 'second', 'third']);
  assert.equal(server.listener.connections.length, 1);
  assert.equal(patient.isClosed, false);
});

test('a change of the user name ends the connection', async () => {
  await using server = await startTestListener();
  using client = await new TestClient(server.listener.port).handshake();
  client.sendRaw(passwordRequest('tester', 'wrong'));
  client.sendRaw(passwordRequest('admin', TEST_PASSWORD));
  await client.closed;
  assert.ok(server.attempts.every(({ username }) => username === 'tester'));
});

test('the sixth failed password ends the connection', async () => {
  await using server = await startTestListener();
  let tries = 0;
  using client = new TestClient(server.listener.port, {
    authHandler: (_methods, _partial, next) => next({ type: 'password', username: 'tester', password: `wrong ${tries++}` }),
  });
  await assert.rejects(client.login());
  assert.equal(server.attempts.length, 6);
});

test('a password of more than 1,024 bytes is not even looked at', async () => {
  await using server = await startTestListener();
  using client = new TestClient(server.listener.port, { authHandler: ['password'], password: 'x'.repeat(1025) });
  await assert.rejects(client.login());
  assert.equal(server.attempts.length, 0);
});

test('an authenticator that fails denies', async () => {
  await using server = await startTestListener({ authenticate: () => Promise.reject(new Error('database is down')) });
  using client = new TestClient(server.listener.port);
  await assert.rejects(client.login());
});

test('connections that say nothing, or do not log in, are closed in time', async () => {
  await using server = await startTestListener({ limits: { identificationTimeoutMs: 100, loginGraceMs: 200 } });
  const silent = connect(server.listener.port, '127.0.0.1');
  silent.resume();
  const start = performance.now();
  await once(silent, 'close');
  assert.ok(performance.now() - start < 1000);
  using client = await new TestClient(server.listener.port).handshake();
  await client.closed;
  assert.ok(performance.now() - start < 3000);
});

test('startups are bounded by source, and a login or a close makes room', async () => {
  await using server = await startTestListener({ limits: { maxStartupsPerSource: 2 } });
  using first = await new TestClient(server.listener.port).login();
  const held = [1, 2].map(() => connect(server.listener.port, '127.0.0.1'));
  for (const socket of held) await once(socket, 'data');
  await assert.rejects(new TestClient(server.listener.port).login());
  const [one] = held;
  assert.ok(one);
  one.end();
  await once(one, 'close');
  using second = await new TestClient(server.listener.port).login();
  assert.deepEqual([first.isClosed, second.isClosed], [false, false]);
  for (const socket of held) socket.destroy();
});
