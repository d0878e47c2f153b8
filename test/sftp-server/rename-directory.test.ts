import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { lockKeyOf, toOperationId, UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import type { SftpServer } from '@skiff/sftp-server/sftp-server';
import type { FileStore } from '@skiff/storage/file-store';
import { createMemoryStore } from '@skiff/storage/memory';
import { SftpStatusError, SftpTestClient } from '../support/sftp-test-client.ts';
import { TEST_STORES, type TestStore } from '../support/test-stores.ts';
import { type ServerRig, startServerRig } from './server-rig.ts';

const MIB = 1024 * 1024;
const signal = () => AbortSignal.timeout(10_000);
const failure = (pattern: RegExp) => (error: unknown) => error instanceof SftpStatusError && pattern.test(error.message);

for (const [kind, makeStore] of Object.entries(TEST_STORES)) {
  describe(`OpenSSH renames a directory on ${kind}`, () => {
    let made: TestStore;
    let rig: ServerRig;
    before(async () => {
      made = await makeStore();
      rig = await startServerRig({ store: made.store });
    });
    after(async () => {
      await rig.stop();
      await made.dispose();
    });

    test('with files, empty directories and all that lies deeper: one event, nothing left at the old name', { timeout: 60_000 }, async () => {
      const content = randomBytes(3 * MIB);
      const local = join(rig.dir, 'up');
      await writeFile(local, content);
      const tree = ['mkdir /dir', `put ${local} /dir/a`, 'mkdir /dir/empty', 'mkdir /dir/sub', `put ${local} "/dir/sub/b %41#?"`, 'mkdir /dir/sub/deep'];
      assert.equal((await rig.client.sftp(rig.byKey, tree)).exitCode, 0);
      await rig.nextEvents(6);
      const renamed = await rig.client.sftp(rig.byKey, [
        'rename /dir /dir2',
        'ls -1 /',
        'ls -1 /dir2',
        'ls -1 /dir2/sub',
        `get "/dir2/sub/b %41#?" ${local}.back`,
      ]);
      assert.equal(renamed.exitCode, 0, renamed.stderr);
      const listed = renamed.stdout.split('\n').filter((line) => line.startsWith('/'));
      assert.deepEqual(listed.toSorted(), ['/dir2', '/dir2/a', '/dir2/empty', '/dir2/sub', '/dir2/sub/b %41#?', '/dir2/sub/deep']);
      assert.ok((await readFile(`${local}.back`)).equals(content));
      assert.equal(await rig.store.stat('ann/dir' as BlobName, signal()), undefined);
      const [event] = await rig.nextEvents(1);
      assert.deepEqual([event?.type, event?.data.sourcePath, event?.data.path], ['dev.skiff.directory.renamed', '/dir', '/dir2']);
      assert.equal(event?.data.blob.name, 'ann/dir2');
      assert.equal(event.id, `skf-${event.data.operationId}`);
    });

    test('over an empty directory, but over no file and no directory that holds something', { timeout: 60_000 }, async () => {
      const local = join(rig.dir, 'x');
      await writeFile(local, 'x');
      const prepare = ['mkdir /from', `put ${local} /from/f`, 'mkdir /empty', 'mkdir /full', `put ${local} /full/f`, `put ${local} /file`];
      assert.equal((await rig.client.sftp(rig.byKey, prepare)).exitCode, 0);
      await rig.nextEvents(6);
      for (const target of ['/full', '/file', '/from/inside', '/']) {
        const refused = await rig.client.sftp(rig.byKey, [`rename /from ${target}`]);
        assert.notEqual(refused.exitCode, 0, target);
      }
      assert.notEqual((await rig.client.sftp(rig.byKey, ['rename /full/f/x /y', 'rename /none /y'])).exitCode, 0);
      // SSH_FXP_RENAME never replaces.
      const client = await SftpTestClient.connect(rig.byKey);
      await assert.rejects(client.rename('/from', '/empty'), failure(/exists/));
      client.end();
      const done = await rig.client.sftp(rig.byKey, ['rename /from /empty', 'ls -1 /empty']);
      assert.equal(done.exitCode, 0, done.stderr);
      assert.match(done.stdout, /\/empty\/f/);
      assert.equal((await rig.nextEvents(1))[0]?.type, 'dev.skiff.directory.renamed');
    });
  });
}

describe('a directory rename and what happens below it', () => {
  let rig: ServerRig;
  let second: SftpServer;
  let held: Promise<void> | undefined;
  const clients: SftpTestClient[] = [];
  before(async () => {
    // Copies wait as long as a test holds them.
    rig = await startServerRig({ store: withSlowCopies(createMemoryStore(), () => held) });
    second = await rig.startSecond();
  });
  after(async () => {
    for (const client of clients) client.destroy();
    await rig.stop();
  });

  async function connect(server: SftpServer = rig.server): Promise<SftpTestClient> {
    const client = await SftpTestClient.connect({ ...rig.byKey, port: server.port });
    clients.push(client);
    return client;
  }
  const stored = (path: string) => rig.store.stat(`ann${path}` as BlobName, signal());
  const put = (path: string, text = path) => rig.store.put(`ann${path}` as BlobName, contentOf(text), { metadata: { from: 'outside' }, signal: signal() });
  const locked = async (path: string) => {
    for (let waited = 0; waited < 5000; waited += 20) {
      if ((await rig.log.findByLock(lockKeyOf(rig.store.identity, `ann${path}`))) !== undefined) return;
      await sleep(20);
    }
    throw new Error(`${path} was not locked in time`);
  };

  test('an upload under way below refuses it with the reason, and goes on', async () => {
    const [writer, other] = [await connect(), await connect(second)];
    for (const directory of ['/source', '/target']) {
      const handle = await writer.open(`${directory}-busy/file`, 'w');
      await writer.write(handle, randomBytes(2 * MIB));
      await locked(`${directory}-busy/file`);
      await put('/elsewhere/f');
      const [from, to] = directory === '/source' ? ['/source-busy', '/free'] : ['/elsewhere', '/target-busy'];
      if (directory === '/source') await put('/source-busy/other');
      await assert.rejects(other.rename(from, to), failure(/being uploaded by ann/));
      await writer.close(handle);
      assert.equal((await rig.nextEvents(1))[0]?.type, 'dev.skiff.file.uploaded');
      assert.equal(await stored('/free'), undefined);
    }
  });

  test('a file opened below in the same session refuses it before a byte has come', async () => {
    const client = await connect();
    await put('/own/f');
    const handle = await client.open('/own/new', 'w');
    await assert.rejects(client.rename('/own', '/own2'), failure(/in this session/));
    await client.close(handle);
    await client.rename('/own', '/own2');
    assert.deepEqual([...(await client.list('/own2')).keys()].sort(), ['f', 'new']);
    await rig.nextEvents(2);
  });

  test('while it lasts everything below either name is refused with the reason, and is possible afterwards', async () => {
    const [mover, other] = [await connect(), await connect(second)];
    for (const name of ['a', 'b']) await put(`/moving/${name}`);
    await put('/beside/f');
    const gate = Promise.withResolvers<void>();
    held = gate.promise;
    const renaming = mover.rename('/moving', '/moved');
    try {
      await locked('/moving');
      const refused = failure(/directory above is being renamed by ann|subject to a renamedir/);
      await assert.rejects(other.put('/moving/new', Buffer.from('x')), refused);
      await assert.rejects(other.put('/moved/new', randomBytes(2 * MIB)), refused);
      await assert.rejects(other.remove('/moving/a'), refused);
      await assert.rejects(other.rename('/moving/a', '/beside/a'), refused);
      await assert.rejects(other.rename('/beside/f', '/moved/f'), refused);
      await assert.rejects(other.makeDirectory('/moved/sub'), refused);
      await assert.rejects(other.setModifiedAt('/moving/a', 1_000_000), refused);
      await other.put('/beside/new', Buffer.from('x'));
    } finally {
      gate.resolve();
      held = undefined;
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

  test('a race with uploads loses and doubles no acknowledged file, and each change has its one event', { timeout: 120_000 }, async () => {
    const [mover, writer] = [await connect(), await connect(second)];
    const outcomes = { renamed: 0, uploaded: 0 };
    for (let round = 0; round < 30; round++) {
      const [from, to] = [`/race-${round}`, `/raced-${round}`];
      await put(`${from}/before`);
      const content = randomBytes(round % 3 === 0 ? 2 * MIB : 100);
      const [first, then] = round % 2 === 0 ? [0, round % 10] : [(3 * round) % 50, 0];
      const [renamed, uploaded] = await Promise.allSettled([
        sleep(first).then(() => mover.rename(from, to)),
        sleep(then).then(() => writer.put(`${from}/file`, content)),
      ]);
      const there = await Promise.all([from, to].map((directory) => stored(`${directory}/file`)));
      const count = there.filter((file) => file !== undefined).length;
      assert.equal(count, uploaded.status === 'fulfilled' ? 1 : 0, `round ${round}: ${uploaded.status}, found ${count} times`);
      if (uploaded.status === 'fulfilled') assert.deepEqual(await writer.get(`${there[0] === undefined ? to : from}/file`), content);
      const before = await Promise.all([from, to].map((directory) => stored(`${directory}/before`)));
      assert.deepEqual(
        before.map((file) => file !== undefined),
        renamed.status === 'fulfilled' ? [false, true] : [true, false],
      );
      for (const result of [renamed, uploaded]) if (result.status === 'rejected') assert.ok(failure(/ann/)(result.reason), String(result.reason));
      if (renamed.status === 'fulfilled') outcomes.renamed++;
      if (uploaded.status === 'fulfilled') outcomes.uploaded++;
      const types = (await rig.nextEvents([renamed, uploaded].filter((result) => result.status === 'fulfilled').length)).map((event) => event.type);
      assert.equal(types.includes('dev.skiff.directory.renamed'), renamed.status === 'fulfilled');
    }
    assert.ok(outcomes.renamed > 0 && outcomes.uploaded > 0, JSON.stringify(outcomes));
  });

  test('a race of rmdir with uploads below loses no acknowledged file', { timeout: 120_000 }, async () => {
    const [remover, writer] = [await connect(), await connect(second)];
    const outcomes = { removed: 0, uploaded: 0 };
    for (let round = 0; round < 30; round++) {
      const path = `/rmdir-${round}`;
      await remover.makeDirectory(path);
      await rig.nextEvents(1);
      const content = randomBytes(round % 3 === 0 ? 2 * MIB : 100);
      const [removed, uploaded] = await Promise.allSettled([remover.removeDirectory(path), sleep(round % 10).then(() => writer.put(`${path}/file`, content))]);
      const file = await stored(`${path}/file`);
      if (uploaded.status === 'fulfilled') assert.deepEqual(await writer.get(`${path}/file`), content, `round ${round}`);
      else assert.equal(file, undefined);
      // Removed before the upload began: the directory exists again through the file.
      if (removed.status === 'rejected') assert.notEqual(await stored(path), undefined);
      if (removed.status === 'fulfilled') outcomes.removed++;
      if (uploaded.status === 'fulfilled') outcomes.uploaded++;
      await rig.nextEvents([removed, uploaded].filter((result) => result.status === 'fulfilled').length);
    }
    assert.ok(outcomes.removed > 0 && outcomes.uploaded > 0, JSON.stringify(outcomes));
  });

  test('two renames of directories that contain each other do not both happen, and nothing is lost', async () => {
    const [outer, inner] = [await connect(), await connect(second)];
    for (let round = 0; round < 10; round++) {
      const [path, to] = [`/outer-${round}`, `/outer-new-${round}`];
      for (const name of ['/f', '/inner/f']) await put(path + name);
      const results = await Promise.allSettled([outer.rename(path, to), inner.rename(`${path}/inner`, `/inner-new-${round}`)]);
      const places = [`${path}/inner/f`, `${to}/inner/f`, `/inner-new-${round}/f`];
      const found = (await Promise.all(places.map(stored))).filter((file) => file !== undefined);
      assert.equal(found.length, 1, `round ${round}`);
      await rig.nextEvents(results.filter((result) => result.status === 'fulfilled').length);
    }
  });

  test('a file that an outside tool puts at a new name is not overwritten: the other stays, and the client is told', async () => {
    const client = await connect();
    for (const name of ['a', 'b', 'c']) await put(`/partly/${name}`);
    const gate = Promise.withResolvers<void>();
    held = gate.promise;
    const renaming = client.rename('/partly', '/partly2');
    const told = assert.rejects(renaming, failure(/stays at its old name/));
    await locked('/partly');
    await sleep(200);
    await put('/partly2/b', 'theirs');
    gate.resolve();
    held = undefined;
    await told;
    assert.deepEqual([...(await client.list('/partly')).keys()], ['b']);
    assert.deepEqual([...(await client.list('/partly2')).keys()].sort(), ['a', 'b', 'c']);
    assert.equal((await client.get('/partly2/b')).toString(), 'theirs');
    assert.equal((await rig.nextEvents(1))[0]?.type, 'dev.skiff.directory.renamed');
  });

  test('more than 10,000 files are refused before anything is moved', { timeout: 60_000 }, async () => {
    const client = await connect();
    for (let index = 0; index <= 10_000; index++) await put(`/many/${index % 7}/${index}`, '');
    await assert.rejects(client.rename('/many', '/many2'), failure(/more than 10000 files/));
    assert.equal(await stored('/many2'), undefined);
    await rig.nextEvents(0);
  });

  test('a rule that forbids renaming somewhere below forbids it for the whole', async () => {
    const all = ['List', 'Read', 'Write', 'Overwrite', 'Delete', 'Rename', 'MakeDirectory', 'RemoveDirectory', 'SetAttributes'] as const;
    await put('/ruled/keep/f');
    const rules = [
      { path: '/', allow: all },
      { path: '/ruled/keep', allow: ['List', 'Read'] as const },
    ];
    await rig.putUser({ username: 'eve', name: 'eve', uid: 'uid-eve', permissions: rules });
    await sleep(1_500);
    const eve = await SftpTestClient.connect({ ...rig.byKey, username: 'eve' });
    clients.push(eve);
    await assert.rejects(eve.rename('/ruled', '/free'), failure(/not permitted/));
    assert.notEqual(await stored('/ruled/keep/f'), undefined);
  });

  /** The row of a rename whose process is gone, `moving` or not yet. */
  async function leftBehind(from: string, to: string, moving: boolean) {
    const id = toOperationId(randomBytes(16));
    const [blobName, targetBlobName] = [`ann${from}` as BlobName, `ann${to}` as BlobName];
    const { identity, container } = rig.store;
    const event = {
      specversion: '1.0' as const,
      id: `skf-${id}`,
      source: '/skiff/default/test',
      type: 'dev.skiff.directory.renamed',
      subject: targetBlobName,
      time: new Date().toISOString(),
      datacontenttype: 'application/json' as const,
      data: {
        operationId: id,
        endpoint: { namespace: 'default', name: 'test' },
        username: 'ann',
        path: to,
        sourcePath: from,
        blob: { container, name: targetBlobName, url: rig.store.urlOf(targetBlobName) },
      },
    };
    const lockKeys = [blobName, targetBlobName].map((name) => lockKeyOf(identity, name));
    const subject = { id, kind: 'renamedir' as const, endpointId: rig.endpointId, username: 'ann', storage: identity, blobName, targetBlobName, lockKeys };
    const plan = { blocks: [], sizeBytes: 0, priorEtag: null, metadata: {}, event };
    const begun = await rig.log.begin({ ...subject, owner: 'gone' as never, priorEtag: null, plan });
    assert.equal(begun.kind, 'begun');
    const ref = { id, epoch: 1 };
    if (moving) await rig.log.advanceRename(ref, 0);
    return { id, park: () => rig.log.park(ref) };
  }
  const ended = async (id: ReturnType<typeof toOperationId>) => {
    for (let waited = 0; waited < 10_000; waited += 50) {
      const row = await rig.log.find(id);
      if (row?.state === 'published' || row?.state === 'aborted') return row.state;
      await sleep(50);
    }
    return 'unfinished';
  };

  test('recovery finishes one that is half done: copied files are recognised, changed ones copied again, the rest is moved', async () => {
    for (const name of ['copied', 'changed', 'waiting', 'sub/waiting']) await put(`/half/${name}`);
    const { id, park } = await leftBehind('/half', '/whole', true);
    for (const name of ['copied', 'changed']) {
      const etag = (await stored(`/half/${name}`))?.etag ?? '';
      const metadata = { from: 'outside', [UPLOAD_METADATA_KEY]: id, skiff_source: etag };
      await rig.store.copy({ name: `ann/half/${name}` as BlobName, etag }, `ann/whole/${name}` as BlobName, { metadata, signal: signal() });
    }
    await put('/half/changed', 'changed since');
    await park();
    assert.equal(await ended(id), 'published');
    const client = await connect();
    assert.equal(await stored('/half'), undefined);
    assert.deepEqual([...(await client.list('/whole')).keys()].sort(), ['changed', 'copied', 'sub', 'waiting']);
    assert.equal((await client.get('/whole/changed')).toString(), 'changed since');
    assert.equal((await client.get('/whole/sub/waiting')).toString(), '/half/sub/waiting');
    assert.equal((await stored('/whole/copied'))?.metadata.from, 'outside');
    assert.equal((await rig.nextEvents(1))[0]?.id, `skf-${id}`);
  });

  test('recovery gives one up that had not begun to move, and nothing has happened', async () => {
    await put('/unmoved/f');
    const { id, park } = await leftBehind('/unmoved', '/never', false);
    await park();
    assert.equal(await ended(id), 'aborted');
    assert.deepEqual([(await stored('/unmoved/f')) !== undefined, await stored('/never')], [true, undefined]);
    await rig.nextEvents(0);
  });

  // Last: the first server's lease is gone after it.
  test('a server that has given its lease back moves nothing any more, whatever it was about to do', async () => {
    await put('/given/f', 'old');
    const gate = Promise.withResolvers<void>();
    held = gate.promise;
    const renaming = (await connect()).rename('/given', '/taken');
    const told = assert.rejects(renaming, failure(/not confirmed/));
    await locked('/given');
    await sleep(200);
    held = undefined;
    const row = await rig.log.findByLock(lockKeyOf(rig.store.identity, 'ann/given'));
    assert.ok(row !== undefined);
    await rig.lease.release();
    assert.equal(await ended(row.id), 'published', 'the other server finishes it');
    await rig.nextEvents(1);
    await put('/given/f', 'new');
    gate.resolve();
    await told;
    const client = await connect(second);
    assert.deepEqual([(await client.get('/given/f')).toString(), (await client.get('/taken/f')).toString()], ['new', 'old']);
  });
});

function contentOf(text: string) {
  const bytes = Buffer.from(text);
  return { parts: [bytes], sizeBytes: bytes.length };
}

function withSlowCopies(store: FileStore, held: () => Promise<void> | undefined): FileStore {
  return new Proxy(store, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      if (key !== 'copy') return value.bind(target);
      return async (...args: Parameters<FileStore['copy']>) => {
        await held();
        return target.copy(...args);
      };
    },
  });
}
