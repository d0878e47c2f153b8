import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BlobName } from '@skiff/model/virtual-path';
import type { ContractKit } from './contract-kit.ts';
import { describeEntry, inParallel, LIST_PAGE_SIZE, rejects, signal, WEIRD_NAMES, writeOptions } from './contract-kit.ts';

/** What is there: names, listings, contents. */
export function describeReading(kit: ContractKit): void {
  const { inDirectory, put, stage, commit, textOf, listed } = kit;
  describe('stat', () => {
    inDirectory('knows nothing of a name that nobody wrote', async (at) => {
      assert.equal(await kit.store.stat(at('/none'), signal()), undefined);
    });
    inDirectory('shows size, time, version and metadata of a file', async (at) => {
      const before = Date.now();
      const { etag, modifiedAt } = await put(at('/f'), 'hello', { metadata: { skiff_upload: 'a1', other: 'b 2' } });
      const found = await kit.store.stat(at('/f'), signal());
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
      const found = await kit.store.stat(at('/d'), signal());
      assert.deepEqual([found?.isDirectory, found?.sizeBytes, found?.etag], [true, 0, '']);
    });
    inDirectory('does not take ann for a directory because of anna/x', async (at) => {
      await put(at('/anna/x'), 'x');
      assert.equal(await kit.store.stat(at('/ann'), signal()), undefined);
    });
    inDirectory('does not see a file of which only blocks are staged', async (at) => {
      await stage(at('/d/staged'), 'b1', 'x');
      assert.equal(await kit.store.stat(at('/d/staged'), signal()), undefined);
      assert.deepEqual(await listed(at('/d')), []);
      assert.equal(await kit.store.stat(at('/d'), signal()), undefined);
    });
    test('takes the root for a directory', async () => {
      assert.equal((await kit.store.stat('' as BlobName, signal()))?.isDirectory, true);
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
      await kit.store.createDirectory(at('/ann/empty'), writeOptions());
      const entries = await listed(at('/ann'));
      assert.deepEqual(entries.map(describeEntry).sort(), ['empty dir 0', 'f file 3', 'sub dir 0']);
      const stat = await kit.store.stat(at('/ann/f'), signal());
      const listedFile = entries.find((entry) => entry.name === 'f');
      assert.ok(Math.abs((stat?.modifiedAt.getTime() ?? 0) - (listedFile?.modifiedAt.getTime() ?? 0)) < 1001);
    });
    inDirectory('gives the root of the container', async (at) => {
      await put(at('/f'), 'x');
      const own = at('/').split('/')[0];
      assert.ok((await listed('' as BlobName)).some((entry) => entry.name === own && entry.isDirectory));
    });
    inDirectory('gives an explicit directory with children once, whatever sorts between its marker and its prefix', async (at) => {
      await kit.store.createDirectory(at('/d/x'), writeOptions());
      await put(at('/d/x/child'), 'x');
      // '-' and '.' sort before '/', so more than a page lies between `x` and `x/`.
      const between = Array.from({ length: LIST_PAGE_SIZE + 5 }, (_, i) => `x-${i}`);
      await inParallel(between, (file) => put(at(`/d/${file}`), ''));
      const names = (await listed(at('/d'))).map((entry) => entry.name);
      assert.deepEqual(names.sort(), ['x', ...between].sort());
    });
    inDirectory('gives every entry of a large directory once, page by page', async (at) => {
      const names = Array.from({ length: kit.manyEntries }, (_, i) => `file-${i}`);
      await inParallel(names, (file) => put(at(`/d/${file}`), ''));
      const found: string[] = [];
      let largest = 0;
      for await (const page of kit.store.list(at('/d'), signal())) {
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

  describe('listBelow', () => {
    const below = async (directory: BlobName, isDirectory: boolean) => {
      const names: string[] = [];
      for await (const page of kit.store.listBelow(directory, signal())) {
        assert.ok(page.length <= LIST_PAGE_SIZE);
        names.push(...page.filter((entry) => entry.isDirectory === isDirectory).map((entry) => entry.name));
      }
      return names.sort();
    };
    inDirectory('gives nothing for a directory that is not there', async (at) => {
      assert.deepEqual([...(await below(at('/none'), true)), ...(await below(at('/none'), false))], []);
    });
    inDirectory('gives files and explicit directories at every depth, with their way from there, and nothing beside', async (at) => {
      await put(at('/ann/f'), 'abc');
      await put(at('/ann/sub/deep/f'), 'x');
      await put(at('/anna/other'), 'x');
      for (const name of ['/ann/empty', '/ann/sub/full']) await kit.store.createDirectory(at(name), writeOptions());
      await put(at('/ann/sub/full/f'), 'x');
      await stage(at('/ann/staged'), 'b1', 'x');
      assert.deepEqual(await below(at('/ann'), false), ['f', 'sub/deep/f', 'sub/full/f']);
      const directories = await below(at('/ann'), true);
      assert.deepEqual(
        directories.filter((name) => name !== 'sub' && name !== 'sub/deep'),
        ['empty', 'sub/full'],
      );
    });
    inDirectory('gives every file of a large tree once, page by page, whatever is removed meanwhile', async (at) => {
      const names = Array.from({ length: 3 * LIST_PAGE_SIZE }, (_, i) => `d${i % 7}/f-${i}`);
      await inParallel(names, (file) => put(at(`/d/${file}`), ''));
      const found: string[] = [];
      for await (const page of kit.store.listBelow(at('/d'), signal())) {
        const files = page.filter((entry) => !entry.isDirectory).map((entry) => entry.name);
        for (const file of files) await kit.store.remove(at(`/d/${file}`), { signal: signal() });
        found.push(...files);
      }
      assert.deepEqual(found.sort(), [...names].sort());
    });
    inDirectory('keeps names with blanks, percent, hash, question mark, quotes and Unicode', async (at) => {
      const names = WEIRD_NAMES.map((weird) => `${weird}/${weird}`);
      await inParallel(names, (file) => put(at(`/d/${file}`), ''));
      assert.deepEqual(await below(at('/d'), false), names.sort());
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
      await rejects('conflict', kit.store.read(at('/f'), { offset: 0, length: 3, etag }, signal()));
    });
    inDirectory('fails with notFound for what is not there', async (at) => {
      const { etag } = await put(at('/f'), 'x');
      await rejects('notFound', kit.store.read(at('/none'), { offset: 0, length: 3, etag }, signal()));
    });
    inDirectory('refuses a range that is none', async (at) => {
      const { etag } = await put(at('/f'), 'x');
      await rejects('invalid', kit.store.read(at('/f'), { offset: -1, length: 3, etag }, signal()));
      await rejects('invalid', kit.store.read(at('/f'), { offset: 0, length: 2 ** 40, etag }, signal()));
    });
    inDirectory('gives bytes back as they were, in many parts', async (at) => {
      const parts = Array.from({ length: 64 }, (_, i) => Buffer.alloc(4097, i));
      const sizeBytes = 64 * 4097;
      const { etag } = await kit.store.put(at('/f'), { parts, sizeBytes }, writeOptions());
      const read = await kit.store.read(at('/f'), { offset: 0, length: sizeBytes, etag }, signal());
      assert.ok(Buffer.concat(read).equals(Buffer.concat(parts)));
    });
  });
}
