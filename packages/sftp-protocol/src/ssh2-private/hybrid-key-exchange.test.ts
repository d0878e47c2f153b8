import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bareKeyExchange } from '../testing/bare-key-exchange.ts';
import { startTestListener } from '../testing/test-listener.ts';

test('agrees on one secret by ML-KEM and X25519 and signs the true transcript', async () => {
  await using server = await startTestListener();
  const result = await bareKeyExchange(server.listener.port);
  assert.equal(result?.verified, true);
  assert.deepEqual(result?.serverKex, [
    'mlkem768x25519-sha256',
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'diffie-hellman-group16-sha512',
    'kex-strict-s-v00@openssh.com',
  ]);
});

test("takes the client's order: its own names around the hybrid do not matter", async () => {
  await using server = await startTestListener();
  const kex = ['sntrup761x25519-sha512', 'mlkem768x25519-sha256', 'curve25519-sha256'];
  assert.equal((await bareKeyExchange(server.listener.port, { kex }))?.verified, true);
});

test('uses a right guess of the first packet', async () => {
  await using server = await startTestListener();
  assert.equal((await bareKeyExchange(server.listener.port, { guess: true }))?.verified, true);
});

test('ends the connection for keys of a wrong length or an all-zero secret', async () => {
  await using server = await startTestListener();
  for (const publicKeys of [Buffer.alloc(0), Buffer.alloc(32), Buffer.alloc(1215), Buffer.alloc(1217), Buffer.alloc(1216)]) {
    assert.equal(await bareKeyExchange(server.listener.port, { publicKeys }), undefined);
  }
});

test('a message slipped into a strict key exchange ends the connection', async () => {
  await using server = await startTestListener();
  const ignore = Buffer.from([2, 0, 0, 0, 0]);
  assert.equal(await bareKeyExchange(server.listener.port, { slipIn: ignore }), undefined);
});
