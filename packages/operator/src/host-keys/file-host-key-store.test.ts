import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { generateHostKey } from '@skiff/credentials/host-key';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { createFileHostKeyStore } from './file-host-key-store.ts';
import { HostKeyStoreError } from './host-key-store.ts';

const SIGNAL = new AbortController().signal;
const MAIN = { namespace: 'team', name: 'main' };

function refusedAs(code: HostKeyStoreError['code']): (error: unknown) => boolean {
  return (error) => error instanceof HostKeyStoreError && error.code === code;
}

test('keys are made once, for this user only, and stay the same', async () => {
  await using root = await temporaryFolder();
  const store = createFileHostKeyStore({ directory: join(root.path, 'keys'), generate: generateHostKey });
  const made = await store.ensure(MAIN, SIGNAL);
  const again = await createFileHostKeyStore({ directory: join(root.path, 'keys'), generate: generateHostKey }).ensure(MAIN, SIGNAL);
  assert.deepEqual([made.generated, again.generated], [true, false]);
  assert.deepEqual(
    again.keys.map((key) => [key.algorithm, key.fingerprint, key.privateKey.reveal()]),
    made.keys.map((key) => [key.algorithm, key.fingerprint, key.privateKey.reveal()]),
  );
  const file = join(root.path, 'keys/team/main/ssh_host_ed25519_key');
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal((await stat(join(root.path, 'keys'))).mode & 0o077, 0);
  assert.equal(await readFile(`${file}.pub`, 'utf8'), `${made.keys[0]?.publicKey}\n`);
});

test('two endpoints never share a key, and two processes that start together do', async () => {
  await using root = await temporaryFolder();
  const stores = Array.from({ length: 8 }, () => createFileHostKeyStore({ directory: root.path, generate: generateHostKey }));
  const made = await Promise.all(stores.map((store) => store.ensure(MAIN, SIGNAL)));
  assert.equal(made.filter(({ generated }) => generated).length, 1);
  assert.equal(new Set(made.map(({ keys }) => keys[0]?.fingerprint)).size, 1);
  const other = await stores[0]?.ensure({ ...MAIN, name: 'other' }, SIGNAL);
  assert.notEqual(other?.keys[0]?.fingerprint, made[0]?.keys[0]?.fingerprint);
  assert.deepEqual((await readdir(join(root.path, 'team'))).sort(), ['main', 'other']);
});

test('a key that others may read, a damaged key and a folder of something else are refused and left alone', async () => {
  await using root = await temporaryFolder();
  const store = createFileHostKeyStore({ directory: root.path, generate: generateHostKey });
  await store.ensure(MAIN, SIGNAL);
  const file = join(root.path, 'team/main/ssh_host_ed25519_key');
  await chmod(file, 0o640);
  await assert.rejects(store.ensure(MAIN, SIGNAL), refusedAs('HostKeyPermissions'));
  await chmod(file, 0o600);
  await writeFile(file, 'damaged');
  await assert.rejects(store.ensure(MAIN, SIGNAL), refusedAs('HostKeyInvalid'));
  assert.equal(await readFile(file, 'utf8'), 'damaged');
  await rm(file);
  await assert.rejects(store.ensure(MAIN, SIGNAL), refusedAs('HostKeyInvalid'));
  await mkdir(join(root.path, 'file'));
  await writeFile(join(root.path, 'file/main'), '');
  await assert.rejects(store.ensure({ namespace: 'file', name: 'main' }, SIGNAL), refusedAs('HostKeyUnreadable'));
});
