import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { Secret } from '@skiff/runtime/secret';
import { newKey, startTestListener } from '../testing/test-listener.ts';
import { connectSftp, SftpClientError } from './sftp-client.ts';

const TIMEOUT_MS = 5_000;

function props(port: number, privateKey: string) {
  const signal = new AbortController().signal;
  return { host: '127.0.0.1', port, username: 'tester', privateKey: new Secret(privateKey), timeoutMs: TIMEOUT_MS, signal };
}

describe('SFTP client', () => {
  it('sends a file, reads it back and removes it', async () => {
    const key = newKey();
    await using rig = await startTestListener({ keys: [key.public.split(' ')[1] ?? ''] });
    const client = await connectSftp(props(rig.listener.port, key.private));
    const content = randomBytes(300_000);
    await client.put('/file.bin', content);
    assert.deepEqual(await client.get('/file.bin'), content);
    await client.remove('/file.bin');
    await assert.rejects(client.get('/file.bin'));
    assert.match(client.hostKeyFingerprint, /^SHA256:[A-Za-z0-9+/]{43}$/);
    client.close();
  });

  it('says so when the login is refused', async () => {
    await using rig = await startTestListener();
    await assert.rejects(connectSftp(props(rig.listener.port, newKey().private)), SftpClientError);
  });

  it('ends when it is aborted', async () => {
    const key = newKey();
    await using rig = await startTestListener({ keys: [key.public.split(' ')[1] ?? ''] });
    const abort = new AbortController();
    const client = await connectSftp({ ...props(rig.listener.port, key.private), signal: abort.signal });
    abort.abort();
    await assert.rejects(client.get('/any'), SftpClientError);
  });
});
