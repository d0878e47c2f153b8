import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { SftpServer } from '@skiff/sftp-server/sftp-server';
import { createMemoryStore } from '@skiff/storage/memory';
import { refusedWith } from '../support/sftp-test-client.ts';
import { HeldCopies } from './held-copies.ts';
import { type ServerRig, startServerRig } from './server-rig.ts';

const MIB = 1024 * 1024;

const copies = new HeldCopies(createMemoryStore());
let rig: ServerRig;
let second: SftpServer;
before(async () => {
  rig = await startServerRig({ store: copies.store });
  second = await rig.startSecond();
});
after(() => rig.stop());

test('an upload under way below refuses it with the reason, and goes on', async () => {
  const [writer, other] = [await rig.connect(), await rig.connect(second)];
  for (const directory of ['/source', '/target']) {
    const handle = await rig.beginUpload(writer, `${directory}-busy/file`, randomBytes(2 * MIB));
    await rig.placeFile('/elsewhere/f');
    const [from, to] = directory === '/source' ? ['/source-busy', '/free'] : ['/elsewhere', '/target-busy'];
    if (directory === '/source') await rig.placeFile('/source-busy/other');
    await assert.rejects(other.rename(from, to), refusedWith(/being uploaded by ann/));
    await writer.close(handle);
    assert.equal((await rig.nextEvents(1))[0]?.type, 'dev.skiff.file.uploaded');
    assert.equal(await rig.stored('/free'), undefined);
  }
});

test('a file opened below in the same session refuses it before a byte has come', async () => {
  const client = await rig.connect();
  await rig.placeFile('/own/f');
  const handle = await client.open('/own/new', 'w');
  await assert.rejects(client.rename('/own', '/own2'), refusedWith(/in this session/));
  await client.close(handle);
  await client.rename('/own', '/own2');
  assert.deepEqual([...(await client.list('/own2')).keys()].sort(), ['f', 'new']);
  await rig.nextEvents(2);
});

test('while it lasts everything below either name is refused with the reason, and is possible afterwards', async () => {
  const [mover, other] = [await rig.connect(), await rig.connect(second)];
  for (const name of ['a', 'b']) await rig.placeFile(`/moving/${name}`);
  await rig.placeFile('/beside/f');
  const release = copies.hold();
  const renaming = mover.rename('/moving', '/moved');
  try {
    await copies.untilOneWaits();
    const refused = refusedWith(/directory above is being renamed by ann|subject to a renamedir/);
    await assert.rejects(other.put('/moving/new', Buffer.from('x')), refused);
    await assert.rejects(other.put('/moved/new', randomBytes(2 * MIB)), refused);
    await assert.rejects(other.remove('/moving/a'), refused);
    await assert.rejects(other.rename('/moving/a', '/beside/a'), refused);
    await assert.rejects(other.rename('/beside/f', '/moved/f'), refused);
    await assert.rejects(other.makeDirectory('/moved/sub'), refused);
    await assert.rejects(other.setModifiedAt('/moving/a', 1_000_000), refused);
    await other.put('/beside/new', Buffer.from('x'));
  } finally {
    release();
  }
  await renaming;
  await other.put('/moving/new', Buffer.from('new'));
  assert.deepEqual([...(await other.list('/moved')).keys()].sort(), ['a', 'b']);
  assert.deepEqual([...(await other.list('/moving')).keys()], ['new']);
  assert.deepEqual((await rig.nextEvents(3)).map((event) => event.type).sort(), [
    'dev.skiff.directory.renamed',
    'dev.skiff.file.uploaded',
    'dev.skiff.file.uploaded',
  ]);
});

test('a file that an outside tool puts at a new name is not overwritten: the other stays, and the client is told', async () => {
  const client = await rig.connect();
  for (const name of ['a', 'b', 'c']) await rig.placeFile(`/partly/${name}`);
  const release = copies.hold();
  const renaming = client.rename('/partly', '/partly2');
  const told = assert.rejects(renaming, refusedWith(/stays at its old name/));
  await copies.untilOneWaits();
  await rig.placeFile('/partly2/b', 'theirs');
  release();
  await told;
  assert.deepEqual([...(await client.list('/partly')).keys()], ['b']);
  assert.deepEqual([...(await client.list('/partly2')).keys()].sort(), ['a', 'b', 'c']);
  assert.equal((await client.get('/partly2/b')).toString(), 'theirs');
  assert.equal((await rig.nextEvents(1))[0]?.type, 'dev.skiff.directory.renamed');
});

test('more than 10,000 files are refused before anything is moved', { timeout: 60_000 }, async () => {
  const client = await rig.connect();
  for (let index = 0; index <= 10_000; index++) await rig.placeFile(`/many/${index % 7}/${index}`, '');
  await assert.rejects(client.rename('/many', '/many2'), refusedWith(/more than 10000 files/));
  assert.equal(await rig.stored('/many2'), undefined);
  await rig.nextEvents(0);
});

test('a rule that forbids renaming somewhere below forbids it for the whole', async () => {
  const all = ['List', 'Read', 'Write', 'Overwrite', 'Delete', 'Rename', 'MakeDirectory', 'RemoveDirectory', 'SetAttributes'] as const;
  await rig.placeFile('/ruled/keep/f');
  const rules = [
    { path: '/', allow: all },
    { path: '/ruled/keep', allow: ['List', 'Read'] as const },
  ];
  await rig.putUser({ username: 'eve', name: 'eve', uid: 'uid-eve', permissions: rules });
  const eve = await rig.connect(rig.server, 'eve');
  await assert.rejects(eve.rename('/ruled', '/free'), refusedWith(/not permitted/));
  assert.notEqual(await rig.stored('/ruled/keep/f'), undefined);
});
