import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Logger } from '@skiff/runtime/logger';
import { silentLogger } from '@skiff/runtime/logger';
import { TestClient } from '../testing/ssh2-client.ts';
import { startTestListener } from '../testing/test-listener.ts';
import { ciphersFor } from './algorithms.ts';

test('every message from 80 to 127 before authentication ends the connection, and nothing is asked or opened', async () => {
  let opened = 0;
  await using server = await startTestListener({
    openSession: () => {
      opened++;
      return { backend: server.backend };
    },
  });
  for (let type = 80; type <= 127; type++) {
    using client = await new TestClient(server.listener.port).handshake();
    client.sendRaw(Buffer.concat([Buffer.from([type]), Buffer.alloc(64)]));
    await client.closed;
  }
  assert.equal(opened, 0);
  assert.equal(server.attempts.length, 0);
});

test('messages that only a server sends end the connection, in every state', async () => {
  await using server = await startTestListener();
  for (const type of [51, 52, 53, 60, 61]) {
    using before = await new TestClient(server.listener.port).handshake();
    before.sendRaw(Buffer.from([type]));
    await before.closed;
    using after = await new TestClient(server.listener.port).login();
    after.sendRaw(Buffer.from([type]));
    await after.closed;
  }
});

test('data beyond the window ends the connection', async () => {
  await using server = await startTestListener({ openSession: () => new Promise(() => {}) });
  using client = await new TestClient(server.listener.port).login();
  await client.sftp();
  const data = Buffer.alloc(32_768);
  const head = Buffer.from([94, 0, 0, 0, 0, 0, 0, 0x80, 0]);
  for (let count = 0; count <= 64; count++) client.sendRaw(Buffer.concat([head, data]));
  await client.closed;
});

test('malformed connection messages end their connection only', async () => {
  await using server = await startTestListener();
  using witness = await new TestClient(server.listener.port).login();
  for (const type of [80, 90, 93, 94, 95, 96, 97, 98]) {
    using client = await new TestClient(server.listener.port).login();
    await client.sftp();
    client.sendRaw(Buffer.from([type, 0, 0, 0, 0, 0xff, 0xff]));
    // Some are ignored by ssh2; the connection must be usable or gone, and others untouched.
    await Promise.race([client.closed, client.sftp().catch(() => {})]);
  }
  await witness.sftp();
});

test('compression is not offered', async () => {
  await using server = await startTestListener();
  using client = new TestClient(server.listener.port, { algorithms: { compress: ['zlib@openssh.com', 'zlib'] } });
  await assert.rejects(client.login(), /compression/);
});

test('what cannot be agreed on is logged with its reason', async () => {
  const lines: unknown[] = [];
  const log: Logger = { ...silentLogger, info: (fields, message) => lines.push([message, fields.reason]), child: () => log };
  await using server = await startTestListener({ log });
  using client = new TestClient(server.listener.port, { algorithms: { kex: ['diffie-hellman-group14-sha256'] } });
  await assert.rejects(client.login());
  assert.deepEqual(lines, [['key exchange failed', 'Handshake failed: no matching key exchange algorithm']]);
});

test('chacha20 without strict key exchange is offered to nobody', () => {
  const chacha = 'chacha20-poly1305@openssh.com';
  for (const version of ['SSH-2.0-OpenSSH_9.6', 'SSH-2.0-OpenSSH_10.2', 'SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10'])
    assert.ok(ciphersFor(version).includes(chacha));
  for (const version of [
    'SSH-2.0-OpenSSH_8.9p1',
    'SSH-2.0-OpenSSH_9.5',
    'SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u1',
    'SSH-2.0-WinSCP_release_6.3',
    'SSH-2.0-JSCH',
  ]) {
    assert.ok(!ciphersFor(version).includes(chacha));
  }
});
