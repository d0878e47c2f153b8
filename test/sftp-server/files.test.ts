import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { BlobName } from '@skiff/model/virtual-path';
import { eventually } from '../support/eventually.ts';
import { type ServerRig, startServerRig } from './server-rig.ts';

let rig: ServerRig;
before(async () => {
  rig = await startServerRig();
});
after(() => rig.stop());

async function localFile(name: string, content: Buffer): Promise<string> {
  const path = join(rig.dir, name);
  await writeFile(path, content);
  return path;
}

const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');

async function sftp(...batch: string[]) {
  const result = await rig.client.sftp(rig.byKey, batch);
  assert.equal(result.exitCode, 0, result.stderr);
  return result;
}

for (const sizeBytes of [0, 1, 4096, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 20 * 1024 * 1024 + 7]) {
  test(`a file of ${sizeBytes} bytes comes back as it was sent, as one blob and one event`, async () => {
    const content = randomBytes(sizeBytes);
    const from = await localFile('up', content);
    await sftp(`put ${from} /size-${sizeBytes}`, `get /size-${sizeBytes} ${join(rig.dir, 'down')}`);
    assert.equal(sha256(await readFile(join(rig.dir, 'down'))), sha256(content));
    const stored = await rig.store.stat(`ann/size-${sizeBytes}` as BlobName, AbortSignal.timeout(5000));
    assert.equal(stored?.sizeBytes, sizeBytes);
    const [event] = await rig.nextEvents(1);
    assert.equal(event?.type, 'dev.skiff.file.uploaded');
    assert.deepEqual([event.data.path, event.data.username, event.data.sizeBytes], [`/size-${sizeBytes}`, 'ann', sizeBytes]);
    assert.equal(event.data.blob.etag, stored.etag);
  });
}

test('an overwrite replaces the content and is an event of its own', async () => {
  const one = await localFile('one', Buffer.from('one'));
  const two = await localFile('two', Buffer.from('second'));
  await sftp(`put ${one} /over`, `put ${two} /over`, `get /over ${join(rig.dir, 'down')}`);
  assert.equal(await readFile(join(rig.dir, 'down'), 'utf8'), 'second');
  const ids = (await rig.nextEvents(2)).map((event) => event.id);
  assert.equal(new Set(ids).size, 2);
});

test('directories are made, listed, and removed only when they are empty', async () => {
  const file = await localFile('f', Buffer.from('x'));
  await sftp('mkdir /dir', `put ${file} /dir/f`);
  const listed = await sftp('ls -l /dir');
  assert.match(listed.stdout, /f$/m);
  const refused = await rig.client.sftp(rig.byKey, ['rmdir /dir']);
  assert.notEqual(refused.exitCode, 0);
  await sftp('rm /dir/f', 'rmdir /dir');
  assert.deepEqual(
    (await rig.nextEvents(4)).map((event) => event.type),
    ['dev.skiff.directory.created', 'dev.skiff.file.uploaded', 'dev.skiff.file.removed', 'dev.skiff.directory.removed'],
  );
});

test('a rename moves the content, over an existing file too, and says from where', async () => {
  const one = await localFile('one', Buffer.from('one'));
  const two = await localFile('two', Buffer.from('two'));
  await sftp(`put ${one} /from`, `put ${two} /to`);
  await rig.nextEvents(2);
  await sftp('rename /from /to', `get /to ${join(rig.dir, 'down')}`);
  assert.equal(await readFile(join(rig.dir, 'down'), 'utf8'), 'one');
  assert.equal(await rig.store.stat('ann/from' as BlobName, AbortSignal.timeout(5000)), undefined);
  const [event] = await rig.nextEvents(1);
  assert.deepEqual([event?.type, event?.data.sourcePath, event?.data.path], ['dev.skiff.file.renamed', '/from', '/to']);
});

test('a rename over a file is denied to somebody who may not overwrite', async () => {
  const allow = ['List', 'Read', 'Write', 'Rename'] as const;
  await rig.putUser({ username: 'eve', name: 'eve', uid: 'uid-eve', home: 'eve', permissions: [{ path: '/', allow }] });
  const eve = { ...rig.byKey, username: 'eve' };
  const file = await localFile('f', Buffer.from('x'));
  await eventually('a login of eve', async () => (await rig.client.sftp(eve, ['ls'])).exitCode === 0);
  assert.equal((await rig.client.sftp(eve, [`put ${file} /from`, `put ${file} /to`])).exitCode, 0);
  const refused = await rig.client.sftp(eve, ['rename /from /to']);
  assert.notEqual(refused.exitCode, 0);
  assert.match(refused.stderr, /permission denied|not permitted/i);
  assert.equal((await rig.client.sftp(eve, ['rename /from /free'])).exitCode, 0);
  await rig.nextEvents(3);
});

test('no path leads out of the home', async () => {
  const file = await localFile('f', Buffer.from('x'));
  await sftp(`put ${file} /../../escape`);
  assert.notEqual(await rig.store.stat('ann/escape' as BlobName, AbortSignal.timeout(5000)), undefined);
  assert.equal(await rig.store.stat('escape' as BlobName, AbortSignal.timeout(5000)), undefined);
  await rig.nextEvents(1);
});

test('modification times are kept, before and after the upload has ended', async () => {
  const file = await localFile('f', Buffer.from('x'));
  await sftp(`put -p ${file} /timed`);
  await rig.nextEvents(1);
  const listed = await sftp('ls -l /timed');
  assert.match(listed.stdout, new RegExp(String(new Date().getDate())));
});

test('what cannot be done is refused and says so', async () => {
  const file = await localFile('f', Buffer.from('x'));
  await sftp(`put ${file} /plain`);
  await rig.nextEvents(1);
  for (const command of ['chmod 600 /plain', 'ln -s /plain /link', 'ln /plain /hard']) {
    const result = await rig.client.sftp(rig.byKey, [command]);
    assert.notEqual(result.exitCode, 0, command);
    assert.match(result.stderr + result.stdout, /unsupported|not (kept|support)/i, command);
  }
});
