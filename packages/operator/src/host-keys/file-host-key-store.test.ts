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
  const made = await store.ensure(MAIN, 'default', SIGNAL);
  const again = await createFileHostKeyStore({ directory: join(root.path, 'keys'), generate: generateHostKey }).ensure(MAIN, 'default', SIGNAL);
  assert.deepEqual([made.generated.length, again.generated.length], [1, 0]);
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
  const made = await Promise.all(stores.map((store) => store.ensure(MAIN, 'default', SIGNAL)));
  assert.equal(made.filter(({ generated }) => generated.length > 0).length, 1);
  assert.equal(new Set(made.map(({ keys }) => keys[0]?.fingerprint)).size, 1);
  const other = await stores[0]?.ensure({ ...MAIN, name: 'other' }, 'default', SIGNAL);
  assert.notEqual(other?.keys[0]?.fingerprint, made[0]?.keys[0]?.fingerprint);
  assert.deepEqual((await readdir(join(root.path, 'team'))).sort(), ['main', 'other']);
});

test('a key that others may read, a damaged key and a folder of something else are refused and left alone', async () => {
  await using root = await temporaryFolder();
  const store = createFileHostKeyStore({ directory: root.path, generate: generateHostKey });
  await store.ensure(MAIN, 'default', SIGNAL);
  const file = join(root.path, 'team/main/ssh_host_ed25519_key');
  await chmod(file, 0o640);
  await assert.rejects(store.ensure(MAIN, 'default', SIGNAL), refusedAs('HostKeyPermissions'));
  await chmod(file, 0o600);
  await writeFile(file, 'damaged');
  await assert.rejects(store.ensure(MAIN, 'default', SIGNAL), refusedAs('HostKeyInvalid'));
  assert.equal(await readFile(file, 'utf8'), 'damaged');
  await rm(file);
  await assert.rejects(store.ensure(MAIN, 'default', SIGNAL), refusedAs('HostKeyInvalid'));
  await mkdir(join(root.path, 'file'));
  await writeFile(join(root.path, 'file/main'), '');
  await assert.rejects(store.ensure({ namespace: 'file', name: 'main' }, 'default', SIGNAL), refusedAs('HostKeyUnreadable'));
});

test('a rotation moves files, survives a crash between two of them, and leaves strangers alone', async () => {
  await using root = await temporaryFolder();
  const store = createFileHostKeyStore({ directory: root.path, generate: generateHostKey });
  const folder = join(root.path, 'team/main');
  const entry = (name: string, state: 'Active' | 'Next' | 'Retired') => ({ name, state, algorithm: 'Ed25519' as const, given: undefined });
  const [old] = (await store.ensure(MAIN, 'default', SIGNAL)).keys;
  await writeFile(join(folder, 'notes.txt'), 'mine');
  const prepared = await store.ensure(MAIN, [entry('ed25519', 'Active'), entry('y27', 'Next')], SIGNAL);
  assert.deepEqual([prepared.keys.map(({ fingerprint }) => fingerprint), prepared.generated.length], [[old?.fingerprint], 1]);
  assert.equal((await stat(join(folder, 'kept_host_y27_key'))).mode & 0o777, 0o600);
  // As if the process had ended after it had written the key to its new place and before it took it from the old one.
  await writeFile(join(folder, 'ssh_host_y27_key'), await readFile(join(folder, 'kept_host_y27_key')), { mode: 0o600 });
  const swapped = await store.ensure(MAIN, [entry('ed25519', 'Retired'), entry('y27', 'Active')], SIGNAL);
  assert.deepEqual(
    swapped.keys.map(({ fingerprint }) => fingerprint),
    prepared.generated.map(({ fingerprint }) => fingerprint),
  );
  await store.ensure(MAIN, [entry('y27', 'Active')], SIGNAL);
  assert.deepEqual((await readdir(folder)).sort(), ['notes.txt', 'ssh_host_y27_key', 'ssh_host_y27_key.pub']);
});
