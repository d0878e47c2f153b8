import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { OpensshClient } from '../testing/openssh-client.ts';
import { newKey, startTestListener } from '../testing/test-listener.ts';

const MIB = 1024 * 1024;

function digest(bytes: Buffer | undefined): string | undefined {
  return bytes === undefined ? undefined : createHash('sha256').update(bytes).digest('hex');
}

for (const cipher of ['chacha20-poly1305@openssh.com', 'aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes256-ctr']) {
  test(`${cipher} carries 8 MiB intact both ways, under strict key exchange`, async () => {
    const key = newKey();
    await using server = await startTestListener({ keys: [key.public.split(' ')[1] ?? ''] });
    using client = new OpensshClient(server.listener.port);
    const content = randomBytes(8 * MIB + 1);
    const back = join(client.directory, 'back');
    const batch = `put ${client.file('local', content)} /f\nget /f ${back}\n`;
    const { status, output } = await client.sftpWithKey(key.private, batch, [`-oCiphers=${cipher}`, '-oLogLevel=DEBUG3']);
    assert.equal(status, 0, output);
    assert.match(output, /will use strict KEX ordering/);
    assert.match(output, /server-sig-algs=<ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256>/);
    assert.ok(output.includes(`server->client cipher: ${cipher}`));
    assert.equal(digest(server.backend.content('/f')), digest(content));
    assert.equal(digest(readFileSync(back)), digest(content));
  });
}

test('64 MiB each way with new keys every MiB arrive intact', async () => {
  const key = newKey();
  await using server = await startTestListener({ keys: [key.public.split(' ')[1] ?? ''], limits: { rekeyBytes: MIB } });
  using client = new OpensshClient(server.listener.port);
  const content = randomBytes(64 * MIB);
  const back = join(client.directory, 'back');
  const batch = `put ${client.file('local', content)} /f\nget /f ${back}\n`;
  const { status, output } = await client.sftpWithKey(key.private, batch, ['-oLogLevel=DEBUG1']);
  assert.equal(status, 0, output.slice(-2000));
  const exchanges = output.match(/SSH2_MSG_NEWKEYS received/g)?.length ?? 0;
  assert.ok(exchanges > 60, `${exchanges} key exchanges`);
  assert.equal(digest(server.backend.content('/f')), digest(content));
  assert.equal(digest(readFileSync(back)), digest(content));
});

test('32 MiB with new keys that the client asks for arrive intact', async () => {
  const key = newKey();
  await using server = await startTestListener({ keys: [key.public.split(' ')[1] ?? ''] });
  using client = new OpensshClient(server.listener.port);
  const content = randomBytes(32 * MIB);
  const back = join(client.directory, 'back');
  const { status, output } = await client.sftpWithKey(key.private, `put ${client.file('local', content)} /f\nget /f ${back}\n`, ['-oRekeyLimit=1M']);
  assert.equal(status, 0, output);
  assert.equal(digest(server.backend.content('/f')), digest(content));
  assert.equal(digest(readFileSync(back)), digest(content));
});
