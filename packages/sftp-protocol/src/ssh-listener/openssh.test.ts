import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { OpensshClient } from '../testing/openssh-client.ts';
import { newKey, startTestListener, TEST_PASSWORD } from '../testing/test-listener.ts';

function publicField(key: { readonly public: string }): string {
  return key.public.split(' ')[1] ?? '';
}

test('OpenSSH logs in with a key, uploads, lists, renames, downloads and removes', async () => {
  const key = newKey();
  await using server = await startTestListener({ keys: [publicField(key)] });
  using client = new OpensshClient(server.listener.port);
  const content = randomBytes(1_000_003);
  const local = client.file('local', content);
  const back = join(client.directory, 'back');
  const batch = ['mkdir dir', `put ${local} dir/one`, 'ls -l dir', 'rename dir/one dir/two', `get dir/two ${back}`, 'rm dir/two', 'rmdir dir', 'ls -la /'].join(
    '\n',
  );
  const { status, output } = await client.sftpWithKey(key.private, batch);
  assert.equal(status, 0, output);
  assert.match(output, /-rw-r--r-- .* 1000003 Jan {2}1 {2}1970 one/);
  assert.deepEqual(readFileSync(back), content);
  assert.equal(server.backend.content('/dir/two'), undefined);
  assert.equal(server.backend.ended, 1);
});

test('OpenSSH logs in with a password', async () => {
  await using server = await startTestListener();
  using client = new OpensshClient(server.listener.port);
  const { status, output } = await client.sftpWithPassword(TEST_PASSWORD, 'pwd\n');
  assert.equal(status, 0, output);
  assert.match(output, /Remote working directory: \/\n/);
});

test('a wrong password is refused', async () => {
  await using server = await startTestListener();
  using client = new OpensshClient(server.listener.port);
  const { status, output } = await client.sftpWithPassword('wrong', 'pwd\n');
  assert.equal(status, 255);
  assert.match(output, /Permission denied \(publickey,password\)/);
});
