import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { StoreError, type StoreErrorCode } from '@skiff/model/store-error';
import type { BlockRef } from '@skiff/model/upload-state';
import { type BlobName, parseVirtualPath, toBlobName, toJail } from '@skiff/model/virtual-path';
import type { Content, DirectoryEntry, FileStore, WriteCondition, WriteOptions } from './file-store.ts';

export interface StoreUnderTest {
  readonly store: FileStore;
  dispose(): Promise<void>;
}

export interface ContractOptions {
  /** Makes an empty store whose listings have pages of about this many entries. */
  makeStore(listPageSize: number): Promise<StoreUnderTest>;
  /** Entries of the large directory. Default 1,000; fewer where the store behind is slow. */
  readonly manyEntries?: number;
}

const LIST_PAGE_SIZE = 40;
const NO_METADATA = {};

/** Every documented sentence of the {@link FileStore} port as a test; each adapter and each stand-in runs all of them. */
export function describeFileStore(name: string, options: ContractOptions): void {
  describe(`FileStore: ${name}`, () => {
    let underTest: StoreUnderTest;
    let store: FileStore;
    let tests = 0;
    before(async () => {
      underTest = await options.makeStore(LIST_PAGE_SIZE);
      store = underTest.store;
    });
    after(() => underTest.dispose());

    /** A directory of its own for each test. */
    const inDirectory = (claim: string, run: (at: (path: string) => BlobName) => Promise<void>): void => {
      test(claim, { timeout: 60_000 }, async () => {
        const jail = toJail('/', `/case-${++tests}`);
        await run((path) => toBlobName(jail, parseVirtualPath(path)));
      });
    };
    const put = (path: BlobName, text: string, more: Partial<WriteOptions> = {}) => store.put(path, contentOf(text), writeOptions(more));
    const stage = (path: BlobName, id: string, text: string) => store.stageBlock(path, id, contentOf(text), signal());
    const commit = (path: BlobName, ids: readonly string[], more: Partial<WriteOptions> = {}) => store.commitBlocks(path, refs(ids), writeOptions(more));
    const etagOf = async (path: BlobName) => (await store.stat(path, signal()))?.etag ?? '';
    const textOf = async (path: BlobName, offset = 0, length = 1024 * 1024) =>
      Buffer.concat(await store.read(path, { offset, length, etag: await etagOf(path) }, signal())).toString();
    const stagedIn = async (path: BlobName) =>
      [...(await store.listStagedBlocks(path, signal()))].sort((a, b) => (a.id < b.id ? -1 : 1)).map(({ id, sizeBytes }) => `${id}:${sizeBytes}`);
    const listed = (directory: BlobName) => collect(store, directory);

    describe('stat', () => {
      inDirectory('knows nothing of a name that nobody wrote', async (at) => {
        assert.equal(await store.stat(at('/none'), signal()), undefined);
      });
      inDirectory('shows size, time, version and metadata of a file', async (at) => {
        const before = Date.now();
        const { etag, modifiedAt } = await put(at('/f'), 'hello', { metadata: { skiff_upload: 'a1', other: 'b 2' } });
        const found = await store.stat(at('/f'), signal());
        assert.ok(found !== undefined && !found.isDirectory);
        assert.equal(found.sizeBytes, 5);
        assert.equal(found.etag, etag);
        assert.notEqual(found.etag, '');
        assert.deepEqual(found.metadata, { skiff_upload: 'a1', other: 'b 2' });
        assert.ok(Math.abs(found.modifiedAt.getTime() - before) < 10_000);
        assert.ok(Math.abs(found.modifiedAt.getTime() - modifiedAt.getTime()) < 1001);
      });
      inDirectory('takes a prefix with something below it for a directory', async (at) => {
        await put(at('/d/e/f'), 'x');
        const found = await store.stat(at('/d'), signal());
        assert.deepEqual([found?.isDirectory, found?.sizeBytes, found?.etag], [true, 0, '']);
      });
      inDirectory('does not take ann for a directory because of anna/x', async (at) => {
        await put(at('/anna/x'), 'x');
        assert.equal(await store.stat(at('/ann'), signal()), undefined);
      });
      inDirectory('does not see a file of which only blocks are staged', async (at) => {
        await stage(at('/d/staged'), 'b1', 'x');
        assert.equal(await store.stat(at('/d/staged'), signal()), undefined);
        assert.deepEqual(await listed(at('/d')), []);
        assert.equal(await store.stat(at('/d'), signal()), undefined);
      });
      test('takes the root for a directory', async () => {
        assert.equal((await store.stat('' as BlobName, signal()))?.isDirectory, true);
      });
    });

    describe('list', () => {
      inDirectory('gives nothing for a directory that is not there', async (at) => {
        assert.deepEqual(await listed(at('/none')), []);
      });
      inDirectory('gives the children of a directory and not what lies deeper or beside', async (at) => {
        await put(at('/ann/f'), 'abc');
        await put(at('/ann/sub/deep'), 'x');
        await put(at('/anna/other'), 'x');
        await store.createDirectory(at('/ann/empty'), writeOptions());
        const entries = await listed(at('/ann'));
        assert.deepEqual(entries.map(describeEntry).sort(), ['empty dir 0', 'f file 3', 'sub dir 0']);
        const stat = await store.stat(at('/ann/f'), signal());
        const listedFile = entries.find((entry) => entry.name === 'f');
        assert.ok(Math.abs((stat?.modifiedAt.getTime() ?? 0) - (listedFile?.modifiedAt.getTime() ?? 0)) < 1001);
      });
      inDirectory('gives the root of the container', async (at) => {
        await put(at('/f'), 'x');
        const own = at('/').split('/')[0];
        assert.ok((await listed('' as BlobName)).some((entry) => entry.name === own && entry.isDirectory));
      });
      inDirectory('gives an explicit directory with children once, whatever sorts between its marker and its prefix', async (at) => {
        await store.createDirectory(at('/d/x'), writeOptions());
        await put(at('/d/x/child'), 'x');
        // '-' and '.' sort before '/', so more than a page lies between `x` and `x/`.
        const between = Array.from({ length: LIST_PAGE_SIZE + 5 }, (_, i) => `x-${i}`);
        await inParallel(between, (file) => put(at(`/d/${file}`), ''));
        const names = (await listed(at('/d'))).map((entry) => entry.name);
        assert.deepEqual(names.sort(), ['x', ...between].sort());
      });
      inDirectory('gives every entry of a large directory once, page by page', async (at) => {
        const names = Array.from({ length: options.manyEntries ?? 1000 }, (_, i) => `file-${i}`);
        await inParallel(names, (file) => put(at(`/d/${file}`), ''));
        const found: string[] = [];
        let largest = 0;
        for await (const page of store.list(at('/d'), signal())) {
          largest = Math.max(largest, page.length);
          found.push(...page.map((entry) => entry.name));
        }
        assert.deepEqual(found.sort(), [...names].sort());
        assert.ok(largest <= LIST_PAGE_SIZE);
      });
      inDirectory('keeps names with blanks, percent, hash, question mark, quotes and Unicode', async (at) => {
        for (const [index, weird] of WEIRD_NAMES.entries()) {
          await put(at(`/d/${weird}/${weird}`), `${index}`);
          assert.equal(await textOf(at(`/d/${weird}/${weird}`)), `${index}`, weird);
          await stage(at(`/e/${weird}`), 'b1', weird);
          await commit(at(`/e/${weird}`), ['b1']);
          assert.equal(await textOf(at(`/e/${weird}`)), weird);
          assert.deepEqual((await listed(at(`/d/${weird}`))).map(describeEntry), [`${weird} file ${String(index).length}`]);
        }
        assert.deepEqual((await listed(at('/d'))).map((entry) => entry.name).sort(), [...WEIRD_NAMES].sort());
      });
    });

    describe('read', () => {
      inDirectory('gives a range, across the borders of blocks', async (at) => {
        for (const id of ['b1', 'b2', 'b3']) await stage(at('/f'), id, id.repeat(4));
        await commit(at('/f'), ['b1', 'b2', 'b3']);
        assert.equal(await textOf(at('/f'), 6, 12), 'b1b2b2b2b2b3');
        assert.equal(await textOf(at('/f'), 0, 1), 'b');
        assert.equal(await textOf(at('/f'), 23, 1), '3');
      });
      inDirectory('is shorter than asked only at the end of the file', async (at) => {
        await put(at('/f'), '0123456789');
        assert.equal(await textOf(at('/f'), 8, 100), '89');
        assert.equal(await textOf(at('/f'), 10, 1), '');
        assert.equal(await textOf(at('/f'), 1_000_000, 1), '');
        assert.equal(await textOf(at('/f'), 3, 0), '');
        await put(at('/empty'), '');
        assert.equal(await textOf(at('/empty'), 0, 10), '');
      });
      inDirectory('fails with conflict when the file has changed since', async (at) => {
        const { etag } = await put(at('/f'), 'old');
        await put(at('/f'), 'new');
        await rejects('conflict', store.read(at('/f'), { offset: 0, length: 3, etag }, signal()));
      });
      inDirectory('fails with notFound for what is not there', async (at) => {
        const { etag } = await put(at('/f'), 'x');
        await rejects('notFound', store.read(at('/none'), { offset: 0, length: 3, etag }, signal()));
      });
      inDirectory('refuses a range that is none', async (at) => {
        const { etag } = await put(at('/f'), 'x');
        await rejects('invalid', store.read(at('/f'), { offset: -1, length: 3, etag }, signal()));
        await rejects('invalid', store.read(at('/f'), { offset: 0, length: 2 ** 40, etag }, signal()));
      });
      inDirectory('gives bytes back as they were, in many parts', async (at) => {
        const parts = Array.from({ length: 64 }, (_, i) => Buffer.alloc(4097, i));
        const sizeBytes = 64 * 4097;
        const { etag } = await store.put(at('/f'), { parts, sizeBytes }, writeOptions());
        const read = await store.read(at('/f'), { offset: 0, length: sizeBytes, etag }, signal());
        assert.ok(Buffer.concat(read).equals(Buffer.concat(parts)));
      });
    });

    describe('stageBlock', () => {
      inDirectory('shows what is staged with its size, before and beside a committed file', async (at) => {
        assert.deepEqual(await stagedIn(at('/f')), []);
        await stage(at('/f'), 'b1', 'abc');
        await stage(at('/f'), 'b2', 'defgh');
        assert.deepEqual(await stagedIn(at('/f')), ['b1:3', 'b2:5']);
        await commit(at('/f'), ['b1', 'b2']);
        await stage(at('/f'), 'b3', 'x');
        assert.deepEqual(await stagedIn(at('/f')), ['b3:1']);
        assert.equal(await textOf(at('/f')), 'abcdefgh');
      });
      inDirectory('replaces a block of the same id', async (at) => {
        await stage(at('/f'), 'b1', 'first');
        await stage(at('/f'), 'b1', 'second');
        assert.deepEqual(await stagedIn(at('/f')), ['b1:6']);
        await commit(at('/f'), ['b1']);
        assert.equal(await textOf(at('/f')), 'second');
      });
      inDirectory('refuses an id of another length than the blob has', async (at) => {
        await stage(at('/f'), 'b1', 'x');
        await rejects('invalid', stage(at('/f'), 'block2', 'x'));
      });
      inDirectory('keeps ids as they were, up to 64 characters', async (at) => {
        const id = `${'0123456789abcdef'.repeat(3)}+/=~!.-_0123456A`;
        assert.equal(id.length, 64);
        await stage(at('/f'), id, 'x');
        assert.deepEqual(await stagedIn(at('/f')), [`${id}:1`]);
        await rejects('invalid', stage(at('/g'), `${id}a`, 'x'));
        await rejects('invalid', stage(at('/g'), '', 'x'));
      });
      inDirectory('refuses content that is empty or whose parts do not add up', async (at) => {
        await rejects('invalid', store.stageBlock(at('/f'), 'b1', { parts: [Buffer.from('abc')], sizeBytes: 4 }, signal()));
        await rejects('invalid', store.stageBlock(at('/f'), 'b1', { parts: [], sizeBytes: 0 }, signal()));
      });
    });

    describe('commitBlocks', () => {
      inDirectory('makes the file of the given blocks in the given order', async (at) => {
        for (const id of ['b1', 'b2', 'b3']) await stage(at('/f'), id, id);
        const { etag } = await commit(at('/f'), ['b3', 'b1'], { metadata: { skiff_upload: 'u1' } });
        assert.equal(await textOf(at('/f')), 'b3b1');
        const found = await store.stat(at('/f'), signal());
        assert.deepEqual([found?.etag, found?.sizeBytes, found?.metadata], [etag, 4, { skiff_upload: 'u1' }]);
      });
      inDirectory('drops every other staged block, whoever staged it', async (at) => {
        await stage(at('/f'), 'a1', 'mine');
        await stage(at('/f'), 'z1', 'other');
        await commit(at('/f'), ['a1']);
        assert.deepEqual(await stagedIn(at('/f')), []);
        await rejects('invalid', commit(at('/f'), ['z1']), 'InvalidBlockList');
        assert.equal(await textOf(at('/f')), 'mine');
      });
      inDirectory('mixes blocks of the present version with new ones', async (at) => {
        for (const id of ['b1', 'b2', 'b3']) await stage(at('/f'), id, `<${id}>`);
        await commit(at('/f'), ['b1', 'b2', 'b3']);
        await stage(at('/f'), 'n2', '[new]');
        await commit(at('/f'), ['b1', 'n2', 'b3']);
        assert.equal(await textOf(at('/f')), '<b1>[new]<b3>');
        await rejects('invalid', commit(at('/f'), ['b2']), 'InvalidBlockList');
      });
      inDirectory('prefers a staged block to the committed one of the same id', async (at) => {
        await stage(at('/f'), 'b1', 'old');
        await commit(at('/f'), ['b1']);
        await stage(at('/f'), 'b1', 'new!');
        await commit(at('/f'), ['b1']);
        assert.equal(await textOf(at('/f')), 'new!');
      });
      inDirectory('makes an empty file of no blocks', async (at) => {
        await commit(at('/f'), []);
        assert.deepEqual([(await store.stat(at('/f'), signal()))?.sizeBytes, await textOf(at('/f'))], [0, '']);
      });
      inDirectory('loses metadata that is not passed again', async (at) => {
        await stage(at('/f'), 'b1', 'x');
        await commit(at('/f'), ['b1'], { metadata: { kept: 'no' } });
        await commit(at('/f'), ['b1']);
        assert.deepEqual((await store.stat(at('/f'), signal()))?.metadata, {});
      });
      inDirectory('fails with conflict and changes nothing when its condition does not hold', async (at) => {
        const first = await put(at('/f'), 'one');
        await put(at('/f'), 'two');
        await stage(at('/f'), 'b1', 'three');
        await rejects('conflict', commit(at('/f'), ['b1'], { condition: { kind: 'absent' } }));
        await rejects('conflict', commit(at('/f'), ['b1'], { condition: { kind: 'etag', etag: first.etag } }));
        await rejects('conflict', commit(at('/none'), [], { condition: { kind: 'etag', etag: first.etag } }));
        assert.equal(await textOf(at('/f')), 'two');
        assert.deepEqual(await stagedIn(at('/f')), ['b1:5']);
        await commit(at('/f'), ['b1'], { condition: { kind: 'etag', etag: await etagOf(at('/f')) } });
        assert.equal(await textOf(at('/f')), 'three');
      });
      inDirectory('repeated with absent fails with conflict and leaves the id to be found', async (at) => {
        await stage(at('/f'), 'b1', 'x');
        const more: Partial<WriteOptions> = { condition: { kind: 'absent' }, metadata: { skiff_upload: 'u7' } };
        await commit(at('/f'), ['b1'], more);
        await rejects('conflict', commit(at('/f'), ['b1'], more));
        assert.equal((await store.stat(at('/f'), signal()))?.metadata.skiff_upload, 'u7');
      });
    });

    describe('conditions', () => {
      const race = async (path: BlobName, condition: WriteCondition): Promise<void> => {
        const outcomes = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => put(path, `writer ${i}`, { condition })));
        const winners = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [i] : []));
        assert.equal(winners.length, 1);
        for (const outcome of outcomes) {
          if (outcome.status === 'rejected') assert.equal(outcome.reason instanceof StoreError && outcome.reason.code, 'conflict');
        }
        assert.equal(await textOf(path), `writer ${winners[0]}`);
      };
      inDirectory('let one of many writers make a new file', async (at) => {
        await race(at('/d/f'), { kind: 'absent' });
      });
      inDirectory('let one of many writers replace a version', async (at) => {
        const { etag } = await put(at('/f'), 'start');
        await race(at('/f'), { kind: 'etag', etag });
      });
    });

    describe('put', () => {
      inDirectory('writes over what is there, metadata included', async (at) => {
        const first = await put(at('/f'), 'one', { metadata: { a: '1' } });
        const second = await put(at('/f'), 'two');
        assert.notEqual(first.etag, second.etag);
        assert.deepEqual([await textOf(at('/f')), (await store.stat(at('/f'), signal()))?.metadata], ['two', {}]);
      });
      inDirectory('refuses metadata that would come back changed', async (at) => {
        for (const metadata of [{ 'a-b': 'x' }, { Upper: 'x' }, { a: 'ümlaut' }, { a: ' x' }, { a: 'x\n' }, { a: 'x'.repeat(9000) }]) {
          await rejects('invalid', put(at('/f'), 'x', { metadata }));
        }
        assert.equal(await store.stat(at('/f'), signal()), undefined);
      });
      inDirectory('refuses content whose parts do not add up', async (at) => {
        await rejects('invalid', store.put(at('/f'), { parts: [Buffer.from('abc')], sizeBytes: 2 }, writeOptions()));
      });
      inDirectory('leaves a file whole that replaces one being read', async (at) => {
        const { etag } = await put(at('/f'), 'a'.repeat(100_000));
        const reads = Array.from({ length: 5 }, () => store.read(at('/f'), { offset: 0, length: 100_000, etag }, signal()));
        await put(at('/f'), 'b'.repeat(100_000));
        for (const read of await Promise.allSettled(reads)) {
          if (read.status === 'fulfilled') assert.equal(Buffer.concat(read.value).toString(), 'a'.repeat(100_000));
          else assert.equal(read.reason instanceof StoreError && read.reason.code, 'conflict');
        }
      });
    });

    describe('remove', () => {
      inDirectory('removes one version of a file', async (at) => {
        const first = await put(at('/d/f'), 'one');
        const second = await put(at('/d/f'), 'two');
        await rejects('conflict', store.remove(at('/d/f'), { etag: first.etag, signal: signal() }));
        assert.equal(await textOf(at('/d/f')), 'two');
        await store.remove(at('/d/f'), { etag: second.etag, signal: signal() });
        assert.equal(await store.stat(at('/d/f'), signal()), undefined);
        await rejects('notFound', store.remove(at('/d/f'), { etag: second.etag, signal: signal() }));
        await rejects('notFound', store.remove(at('/d/f'), { signal: signal() }));
      });
      inDirectory('lets an implicit directory vanish with its last file', async (at) => {
        await put(at('/d/e/f'), 'x');
        await store.remove(at('/d/e/f'), { signal: signal() });
        assert.equal(await store.stat(at('/d'), signal()), undefined);
      });
      inDirectory('keeps an explicit directory when its last file goes', async (at) => {
        await store.createDirectory(at('/d'), writeOptions());
        await put(at('/d/f'), 'x');
        await store.remove(at('/d/f'), { signal: signal() });
        assert.equal((await store.stat(at('/d'), signal()))?.isDirectory, true);
      });
      inDirectory('removes the marker of a directory and nothing below it', async (at) => {
        await store.createDirectory(at('/d'), writeOptions());
        await put(at('/d/f'), 'x');
        await store.remove(at('/d'), { etag: await etagOf(at('/d')), signal: signal() });
        assert.deepEqual([(await store.stat(at('/d'), signal()))?.etag, await textOf(at('/d/f'))], ['', 'x']);
        await rejects('notFound', store.remove(at('/d'), { signal: signal() }));
        await store.createDirectory(at('/empty'), writeOptions());
        await store.remove(at('/empty'), { signal: signal() });
        assert.equal(await store.stat(at('/empty'), signal()), undefined);
      });
    });

    describe('copy', () => {
      inDirectory('makes a whole file with metadata of its own', async (at) => {
        for (const id of ['b1', 'b2']) await stage(at('/a'), id, id);
        const { etag } = await commit(at('/a'), ['b1', 'b2'], { metadata: { skiff_upload: 'u1', mine: 'x' } });
        const copied = await store.copy({ name: at('/a'), etag }, at('/d/b c#1'), writeOptions({ metadata: { skiff_rename: 'r1' } }));
        const found = await store.stat(at('/d/b c#1'), signal());
        assert.deepEqual([found?.etag, found?.metadata, await textOf(at('/d/b c#1'))], [copied.etag, { skiff_rename: 'r1' }, 'b1b2']);
        assert.equal(await textOf(at('/a')), 'b1b2');
        assert.equal(await etagOf(at('/a')), etag);
      });
      inDirectory('copies from a name that has to be encoded', async (at) => {
        const { etag } = await put(at('/ä %41#?&+ b'), 'x');
        await store.copy({ name: at('/ä %41#?&+ b'), etag }, at('/b'), writeOptions({ metadata: { op: '1' } }));
        assert.equal(await textOf(at('/b')), 'x');
      });
      inDirectory('fails with conflict when the source has changed, notFound when it is gone', async (at) => {
        const { etag } = await put(at('/a'), 'old');
        await put(at('/a'), 'new');
        const more = writeOptions({ metadata: { op: '1' } });
        await rejects('conflict', store.copy({ name: at('/a'), etag }, at('/b'), more));
        await rejects('notFound', store.copy({ name: at('/none'), etag }, at('/b'), more));
        assert.equal(await store.stat(at('/b'), signal()), undefined);
      });
      inDirectory('keeps to the condition on its target', async (at) => {
        const source = { name: at('/a'), etag: (await put(at('/a'), 'source')).etag };
        const target = await put(at('/b'), 'target');
        const metadata = { op: '1' };
        await rejects('conflict', store.copy(source, at('/b'), writeOptions({ metadata, condition: { kind: 'absent' } })));
        await rejects('conflict', store.copy(source, at('/b'), writeOptions({ metadata, condition: { kind: 'etag', etag: source.etag } })));
        assert.equal(await textOf(at('/b')), 'target');
        await store.copy(source, at('/b'), writeOptions({ metadata, condition: { kind: 'etag', etag: target.etag } }));
        assert.equal(await textOf(at('/b')), 'source');
      });
      inDirectory('copies the marker of a directory, and nothing below it', async (at) => {
        await store.createDirectory(at('/d'), writeOptions({ metadata: { op: '1' } }));
        await put(at('/d/f'), 'x');
        await put(at('/e/f'), 'y');
        const found = await store.stat(at('/d'), signal());
        assert.ok(found !== undefined);
        const options = writeOptions({ metadata: { ...found.metadata, op: '2' }, condition: { kind: 'absent' } });
        await rejects('conflict', store.copy({ name: at('/d'), etag: '"other"' }, at('/e'), options));
        const copied = await store.copy({ name: at('/d'), etag: found.etag }, at('/e'), options);
        const there = await store.stat(at('/e'), signal());
        assert.deepEqual([there?.isDirectory, there?.etag, there?.metadata.op], [true, copied.etag, '2']);
        assert.deepEqual([(await listed(at('/e'))).map(describeEntry), await textOf(at('/e/f'))], [['f file 1'], 'y']);
        await rejects('conflict', store.copy({ name: at('/d'), etag: found.etag }, at('/e'), options));
        await store.remove(at('/d'), { etag: found.etag, signal: signal() });
        assert.equal((await store.stat(at('/d'), signal()))?.etag, '');
      });
      inDirectory('refuses to inherit the metadata of its source', async (at) => {
        const { etag } = await put(at('/a'), 'x', { metadata: { skiff_upload: 'u1' } });
        await rejects('invalid', store.copy({ name: at('/a'), etag }, at('/b'), writeOptions()));
      });
    });

    describe('setMetadata', () => {
      inDirectory('replaces the metadata of one version, whose etag changes', async (at) => {
        const { etag } = await put(at('/f'), 'text', { metadata: { a: '1', b: '2' } });
        const changed = await store.setMetadata(at('/f'), { b: '3' }, { etag, signal: signal() });
        assert.notEqual(changed.etag, etag);
        const found = await store.stat(at('/f'), signal());
        assert.deepEqual([found?.etag, found?.metadata, await textOf(at('/f'))], [changed.etag, { b: '3' }, 'text']);
        await rejects('conflict', store.setMetadata(at('/f'), {}, { etag, signal: signal() }));
        await rejects('notFound', store.setMetadata(at('/none'), {}, { etag, signal: signal() }));
      });
      inDirectory('leaves a directory one when its own metadata is passed back', async (at) => {
        await store.createDirectory(at('/d'), writeOptions({ metadata: { op: '1' } }));
        const found = await store.stat(at('/d'), signal());
        assert.ok(found !== undefined);
        await store.setMetadata(at('/d'), { ...found.metadata, op: '2' }, { etag: found.etag, signal: signal() });
        const changed = await store.stat(at('/d'), signal());
        assert.deepEqual([changed?.isDirectory, changed?.metadata.op], [true, '2']);
      });
      inDirectory('leaves the blocks of a file to be used again', async (at) => {
        for (const id of ['b1', 'b2']) await stage(at('/f'), id, id);
        const { etag } = await commit(at('/f'), ['b1', 'b2']);
        await store.setMetadata(at('/f'), { a: '1' }, { etag, signal: signal() });
        await commit(at('/f'), ['b2', 'b1']);
        assert.equal(await textOf(at('/f')), 'b2b1');
      });
    });

    describe('createDirectory', () => {
      inDirectory('makes an empty directory with metadata and a version', async (at) => {
        const { etag } = await store.createDirectory(at('/d'), writeOptions({ metadata: { op: '1' } }));
        const found = await store.stat(at('/d'), signal());
        assert.deepEqual([found?.isDirectory, found?.sizeBytes, found?.etag, found?.metadata.op], [true, 0, etag, '1']);
        assert.deepEqual(await listed(at('/d')), []);
      });
      inDirectory('fails with alreadyExists where a file or an explicit directory is', async (at) => {
        await put(at('/f'), 'x');
        await store.createDirectory(at('/d'), writeOptions());
        await rejects('alreadyExists', store.createDirectory(at('/f'), writeOptions()));
        await rejects('alreadyExists', store.createDirectory(at('/d'), writeOptions()));
      });
      inDirectory('makes an implicit directory explicit', async (at) => {
        await put(at('/d/f'), 'x');
        await store.createDirectory(at('/d'), writeOptions());
        await store.remove(at('/d/f'), { signal: signal() });
        assert.equal((await store.stat(at('/d'), signal()))?.isDirectory, true);
      });
    });

    describe('signals', () => {
      inDirectory('end every call with aborted', async (at) => {
        const { etag } = await put(at('/f'), 'x');
        const ended = AbortSignal.abort();
        const options: WriteOptions = { metadata: { op: '1' }, signal: ended };
        const calls: readonly (() => Promise<unknown>)[] = [
          () => store.probe(ended),
          () => store.stat(at('/f'), ended),
          () => collect(store, at('/'), ended),
          () => store.read(at('/f'), { offset: 0, length: 1, etag }, ended),
          () => store.stageBlock(at('/f'), 'b1', contentOf('x'), ended),
          () => store.listStagedBlocks(at('/f'), ended),
          () => store.commitBlocks(at('/f'), [], options),
          () => store.put(at('/f'), contentOf('y'), options),
          () => store.remove(at('/f'), { signal: ended }),
          () => store.copy({ name: at('/f'), etag }, at('/g'), options),
          () => store.setMetadata(at('/f'), {}, { etag, signal: ended }),
          () => store.createDirectory(at('/d'), options),
        ];
        for (const call of calls) await rejects('aborted', call());
        assert.deepEqual([await etagOf(at('/f')), (await listed(at('/'))).length], [etag, 1]);
      });
      inDirectory('end a call that is under way with aborted or let it finish', async (at) => {
        const controller = new AbortController();
        const block = { parts: Array.from({ length: 128 }, () => Buffer.alloc(32_768)), sizeBytes: 128 * 32_768 };
        const staging = Array.from({ length: 4 }, (_, i) => store.stageBlock(at('/f'), `b${i}`, block, controller.signal));
        setImmediate(() => controller.abort());
        for (const outcome of await Promise.allSettled(staging)) {
          if (outcome.status === 'rejected') assert.equal(outcome.reason instanceof StoreError && outcome.reason.code, 'aborted');
        }
        await stage(at('/f'), 'b9', 'works on');
        await commit(at('/f'), ['b9']);
        assert.equal(await textOf(at('/f')), 'works on');
      });
    });

    describe('the store', () => {
      test('is reachable', async () => {
        await store.probe(signal());
      });
      test('says which store and container it is', () => {
        assert.notEqual(store.identity, '');
        assert.notEqual(store.container, '');
        assert.ok(store.limits.maxBlocks > 0 && store.limits.maxBlockBytes > 0 && store.limits.maxPutBytes > 0);
      });
      test('gives two names two addresses that are legal', () => {
        const urls = WEIRD_NAMES.map((name) => store.urlOf(toBlobName(toJail('/', '/'), parseVirtualPath(`/${name}`))));
        assert.equal(new Set(urls).size, WEIRD_NAMES.length);
        for (const url of urls) assert.deepEqual([URL.canParse(url), new URL(url).search, new URL(url).hash], [true, '', '']);
      });
    });
  });
}

const WEIRD_NAMES = [
  'a b',
  ' lead',
  'trail ',
  '100%',
  '%2F',
  '%41',
  'a#b',
  'a?b',
  'a&b=c',
  'a+b',
  "it's",
  '"q"',
  'a;b',
  'a:b',
  'ümläut',
  '日本語',
  '😀',
  'é',
  'e\u0301',
  '~x',
  '*',
  '[x]',
  '<&>',
  '$x',
  '.hidden',
  'a..b',
];

function contentOf(text: string): Content {
  const bytes = Buffer.from(text);
  return { parts: bytes.length === 0 ? [] : [bytes], sizeBytes: bytes.length };
}

function writeOptions(more: Partial<WriteOptions> = {}): WriteOptions {
  return { metadata: NO_METADATA, signal: signal(), ...more };
}

function signal(): AbortSignal {
  return AbortSignal.timeout(30_000);
}

function refs(ids: readonly string[]): readonly BlockRef[] {
  return ids.map((id) => ({ id, sizeBytes: 0 }));
}

function describeEntry(entry: DirectoryEntry): string {
  return `${entry.name} ${entry.isDirectory ? 'dir' : 'file'} ${entry.sizeBytes}`;
}

async function collect(store: FileStore, directory: BlobName, within: AbortSignal = signal()): Promise<DirectoryEntry[]> {
  const entries: DirectoryEntry[] = [];
  for await (const page of store.list(directory, within)) entries.push(...page);
  return entries;
}

async function inParallel<Item>(items: readonly Item[], run: (item: Item) => Promise<unknown>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (const item of queue) await run(item);
    }),
  );
}

async function rejects(code: StoreErrorCode, call: Promise<unknown>, vendorCode?: string): Promise<void> {
  await assert.rejects(call, (error: unknown) => {
    assert.ok(error instanceof StoreError, `not a StoreError: ${String(error)}`);
    assert.equal(error.code, code);
    if (vendorCode !== undefined) assert.equal(error.vendorCode, vendorCode);
    return true;
  });
}
