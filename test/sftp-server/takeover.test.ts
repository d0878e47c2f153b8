import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { BlobName } from '@skiff/model/virtual-path';
import type { SftpServer } from '@skiff/sftp-server/sftp-server';
import { eventually } from '../support/eventually.ts';
import { RESUME_FLAGS, refusedWith, SftpStatusError } from '../support/sftp-test-client.ts';
import { type ServerRig, startServerRig } from './server-rig.ts';

const MIB = 1024 * 1024;
const TAKEOVER_MS = 5_000;

let rig: ServerRig;
let second: SftpServer;
before(async () => {
  rig = await startServerRig();
  second = await rig.startSecond();
});
after(() => rig.stop());

for (const where of ['the same server', 'another server'] as const) {
  test(`a user whose connection hangs starts again on ${where} within 5 s, and the old handle can do no harm`, async () => {
    const [old, fresh] = [await rig.connect(), await rig.connect(where === 'the same server' ? rig.server : second)];
    const path = `/takeover-${where.length}`;
    const handle = await rig.beginUpload(old, path, randomBytes(3 * MIB));
    const content = randomBytes(2 * MIB + 5);
    const startedAt = performance.now();
    await fresh.put(path, content);
    assert.ok(performance.now() - startedAt < TAKEOVER_MS);
    if (where === 'the same server') await assert.rejects(old.write(handle, randomBytes(1000), 3 * MIB), refusedWith(/taken over|started again/));
    await assert.rejects(old.close(handle), refusedWith(/taken over/));
    assert.deepEqual(await fresh.get(path), content);
    const [event] = await rig.nextEvents(1);
    assert.equal(event?.data.sizeBytes, content.length);
  });

  test(`a reopen without truncation on ${where} goes on after what was staged, beside a session that hangs`, async () => {
    const [old, fresh] = [await rig.connect(), await rig.connect(where === 'the same server' ? rig.server : second)];
    const path = `/goes-on-${where.length}`;
    const content = randomBytes(5 * MIB);
    const handle = await rig.beginUpload(old, path, content.subarray(0, 3 * MIB));
    const shown = await eventually('what was staged is shown', async () => {
      const size = (await fresh.sizeOf(path)) ?? 0;
      return size >= 2 * MIB && size;
    });
    assert.ok(shown <= 3 * MIB, `${shown} bytes are shown`);
    assert.equal((await fresh.list('/')).get(path.slice(1)), await fresh.sizeOf(path));
    const resumed = await fresh.open(path, RESUME_FLAGS);
    await fresh.write(resumed, content.subarray(shown), shown);
    // Whatever the old handle still sends must not count.
    await old.write(handle, randomBytes(2 * MIB), 3 * MIB).catch(() => undefined);
    await fresh.close(resumed);
    await assert.rejects(old.close(handle), refusedWith(/taken over/));
    assert.deepEqual(await fresh.get(path), content);
    await rig.nextEvents(1);
  });
}

test('other users do not see an unfinished upload, and cannot take it over', async () => {
  await rig.putUser({ username: 'bob', name: 'bob', uid: 'uid-bob' });
  const bob = await rig.connect(rig.server, 'bob');
  const ann = await rig.connect();
  const handle = await rig.beginUpload(ann, '/private', randomBytes(2 * MIB));
  assert.equal(await bob.sizeOf('/private'), undefined);
  assert.equal((await bob.list('/')).has('private'), false);
  await assert.rejects(bob.put('/private', Buffer.from('x')), refusedWith(/being uploaded by ann/));
  await assert.rejects(bob.rename('/private', '/elsewhere'), SftpStatusError);
  await ann.close(handle);
  await rig.nextEvents(1);
});

test('a second writer in the same session is refused, and the first goes on', async () => {
  const client = await rig.connect();
  const handle = await rig.beginUpload(client, '/twice', randomBytes(2 * MIB));
  await assert.rejects(client.open('/twice', 'w'), refusedWith(/being uploaded in this session/));
  await client.close(handle);
  await rig.nextEvents(1);
});

test('of many who create one name exclusively, exactly one succeeds', async () => {
  const writers = await Promise.all(Array.from({ length: 8 }, (_, index) => rig.connect(index % 2 === 0 ? rig.server : second)));
  const results = await Promise.allSettled(
    writers.map(async (client, index) => {
      const handle = await client.open('/exclusive', 'wx');
      await client.write(handle, Buffer.from(`writer ${index}`));
      await client.close(handle);
      return index;
    }),
  );
  const winners = results.filter((result) => result.status === 'fulfilled').map((result) => result.value);
  assert.equal(winners.length, 1, JSON.stringify(results.map((result) => result.status)));
  assert.equal((await (await rig.connect()).get('/exclusive')).toString(), `writer ${winners[0]}`);
  await rig.nextEvents(1);
  await assert.rejects((await rig.connect()).open('/exclusive', 'wx'), refusedWith(/exists already/));
});

test('a rename does not replace a file that came into being meanwhile', async () => {
  const client = await rig.connect();
  await client.put('/r-from', Buffer.from('from'));
  await client.put('/r-to', Buffer.from('to'));
  await rig.nextEvents(2);
  await assert.rejects(client.rename('/r-from', '/r-to'), refusedWith(/exists already/));
  assert.equal((await client.get('/r-to')).toString(), 'to');
});

test('renaming a file that another session replaces, and removing one that another user replaces, is refused with the reason', async () => {
  await rig.putUser({ username: 'bob', name: 'bob', uid: 'uid-bob' });
  const [writer, other, bob] = [await rig.connect(), await rig.connect(second), await rig.connect(second, 'bob')];
  await writer.put('/locked', Buffer.from('old'));
  await rig.nextEvents(1);
  const handle = await rig.beginUpload(writer, '/locked', randomBytes(2 * MIB));
  await assert.rejects(other.rename('/locked', '/moved'), refusedWith(/being uploaded by ann/));
  await assert.rejects(bob.remove('/locked'), refusedWith(/being uploaded by ann/));
  await writer.close(handle);
  const [event] = await rig.nextEvents(1);
  assert.equal(event?.data.sizeBytes, 2 * MIB);
});

test('REMOVE of one’s own unfinished upload ends it: no file, no event, the handle fails', async () => {
  const client = await rig.connect();
  const handle = await rig.beginUpload(client, '/unwanted', randomBytes(2 * MIB));
  await client.remove('/unwanted');
  await assert.rejects(client.close(handle), refusedWith(/removed|taken over/));
  assert.equal(await rig.stored('/unwanted'), undefined);
  assert.equal(await client.sizeOf('/unwanted'), undefined);
  await client.put('/unwanted', Buffer.from('again'));
  await rig.nextEvents(1);
});

test('setting a time on a finished file waits for nobody and is refused while the file is replaced', async () => {
  const [client, other] = [await rig.connect(), await rig.connect(second)];
  await client.put('/timed', Buffer.from('x'));
  await rig.nextEvents(1);
  await client.setModifiedAt('/timed', 1_000_000_000);
  assert.equal((await rig.stored('/timed'))?.metadata.skiff_mtime, '1000000000');
  const handle = await rig.beginUpload(client, '/timed', randomBytes(2 * MIB));
  await assert.rejects(other.setModifiedAt('/timed', 1_100_000_000), refusedWith(/being uploaded/));
  await client.close(handle);
  await rig.nextEvents(1);
});

test('a directory with an upload under way below it is not removed, and one that is being removed takes no upload', async () => {
  const [writer, other] = [await rig.connect(), await rig.connect(second)];
  await writer.makeDirectory('/busy');
  await rig.nextEvents(1);
  const handle = await rig.beginUpload(writer, '/busy/file', randomBytes(2 * MIB));
  await assert.rejects(other.removeDirectory('/busy'), refusedWith(/being uploaded/));
  await writer.close(handle);
  await rig.nextEvents(1);
  await writer.remove('/busy/file');
  const results = await Promise.allSettled([other.removeDirectory('/busy'), writer.put('/busy/late', Buffer.from('x'))]);
  const names = await (await rig.connect()).list('/');
  if (results[1].status === 'fulfilled') assert.ok(names.has('busy'), 'the uploaded file must be there');
  else assert.ok(!names.has('busy') || results[0].status === 'rejected');
  const expected = 1 + results.filter((result) => result.status === 'fulfilled').length;
  assert.equal((await rig.nextEvents(expected)).length, expected);
});

test('an application that deletes the new file at once takes nothing away from its event', async () => {
  const client = await rig.connect();
  for (let round = 0; round < 20; round++) {
    const path = `/consumed-${round}`;
    const upload = client.put(path, randomBytes(round % 2 === 0 ? 100 : 2 * MIB));
    let settled = false;
    const done = upload.finally(() => {
      settled = true;
    });
    while (!settled) {
      const present = await rig.stored(path);
      if (present !== undefined) await rig.store.remove(`ann${path}` as BlobName, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
    }
    await done;
  }
  assert.equal(new Set((await rig.nextEvents(20)).map((event) => event.data.path)).size, 20);
});

for (const change of ['deletes', 'replaces'] as const) {
  test(`an outside tool that ${change} the old file during an overwrite loses against the one who holds the lock`, async () => {
    const client = await rig.connect();
    const path = `/outside-${change}`;
    await client.put(path, Buffer.from('old'));
    const content = randomBytes(3 * MIB);
    const handle = await rig.beginUpload(client, path, content);
    const name = `ann${path}` as BlobName;
    if (change === 'deletes') await rig.store.remove(name, { signal: AbortSignal.timeout(5000) });
    else {
      const present = await rig.stored(path);
      assert.ok(present !== undefined);
      await rig.store.setMetadata(name, { changed: 'yes' }, { etag: present.etag, signal: AbortSignal.timeout(5000) });
    }
    await client.close(handle);
    assert.deepEqual(await client.get(path), content);
    assert.equal((await rig.nextEvents(2)).length, 2);
  });
}
