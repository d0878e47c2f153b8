import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { ContractKit } from './contract-kit.ts';
import { describeEntry, rejects, signal, writeOptions } from './contract-kit.ts';

/** What becomes of files and directories that are there. */
export function describeChanging(kit: ContractKit): void {
  const { inDirectory, put, stage, commit, etagOf, textOf, listed } = kit;
  describe('remove', () => {
    inDirectory('removes one version of a file', async (at) => {
      const first = await put(at('/d/f'), 'one');
      const second = await put(at('/d/f'), 'two');
      await rejects('conflict', kit.store.remove(at('/d/f'), { etag: first.etag, signal: signal() }));
      assert.equal(await textOf(at('/d/f')), 'two');
      await kit.store.remove(at('/d/f'), { etag: second.etag, signal: signal() });
      assert.equal(await kit.store.stat(at('/d/f'), signal()), undefined);
      await rejects('notFound', kit.store.remove(at('/d/f'), { etag: second.etag, signal: signal() }));
      await rejects('notFound', kit.store.remove(at('/d/f'), { signal: signal() }));
    });
    inDirectory('lets an implicit directory vanish with its last file', async (at) => {
      await put(at('/d/e/f'), 'x');
      await kit.store.remove(at('/d/e/f'), { signal: signal() });
      assert.equal(await kit.store.stat(at('/d'), signal()), undefined);
    });
    inDirectory('keeps an explicit directory when its last file goes', async (at) => {
      await kit.store.createDirectory(at('/d'), writeOptions());
      await put(at('/d/f'), 'x');
      await kit.store.remove(at('/d/f'), { signal: signal() });
      assert.equal((await kit.store.stat(at('/d'), signal()))?.isDirectory, true);
    });
    inDirectory('removes the marker of a directory and nothing below it', async (at) => {
      await kit.store.createDirectory(at('/d'), writeOptions());
      await put(at('/d/f'), 'x');
      await kit.store.remove(at('/d'), { etag: await etagOf(at('/d')), signal: signal() });
      assert.deepEqual([(await kit.store.stat(at('/d'), signal()))?.etag, await textOf(at('/d/f'))], ['', 'x']);
      await rejects('notFound', kit.store.remove(at('/d'), { signal: signal() }));
      await kit.store.createDirectory(at('/empty'), writeOptions());
      await kit.store.remove(at('/empty'), { signal: signal() });
      assert.equal(await kit.store.stat(at('/empty'), signal()), undefined);
    });
  });

  describe('copy', () => {
    inDirectory('makes a whole file with metadata of its own', async (at) => {
      for (const id of ['b1', 'b2']) await stage(at('/a'), id, id);
      const { etag } = await commit(at('/a'), ['b1', 'b2'], { metadata: { skiff_upload: 'u1', mine: 'x' } });
      const copied = await kit.store.copy({ name: at('/a'), etag }, at('/d/b c#1'), writeOptions({ metadata: { skiff_rename: 'r1' } }));
      const found = await kit.store.stat(at('/d/b c#1'), signal());
      assert.deepEqual([found?.etag, found?.metadata, await textOf(at('/d/b c#1'))], [copied.etag, { skiff_rename: 'r1' }, 'b1b2']);
      assert.equal(await textOf(at('/a')), 'b1b2');
      assert.equal(await etagOf(at('/a')), etag);
    });
    inDirectory('copies from a name that has to be encoded', async (at) => {
      const { etag } = await put(at('/ä %41#?&+ b'), 'x');
      await kit.store.copy({ name: at('/ä %41#?&+ b'), etag }, at('/b'), writeOptions({ metadata: { op: '1' } }));
      assert.equal(await textOf(at('/b')), 'x');
    });
    inDirectory('fails with conflict when the source has changed, notFound when it is gone', async (at) => {
      const { etag } = await put(at('/a'), 'old');
      await put(at('/a'), 'new');
      const more = writeOptions({ metadata: { op: '1' } });
      await rejects('conflict', kit.store.copy({ name: at('/a'), etag }, at('/b'), more));
      await rejects('notFound', kit.store.copy({ name: at('/none'), etag }, at('/b'), more));
      assert.equal(await kit.store.stat(at('/b'), signal()), undefined);
    });
    inDirectory('keeps to the condition on its target', async (at) => {
      const source = { name: at('/a'), etag: (await put(at('/a'), 'source')).etag };
      const target = await put(at('/b'), 'target');
      const metadata = { op: '1' };
      await rejects('conflict', kit.store.copy(source, at('/b'), writeOptions({ metadata, condition: { kind: 'absent' } })));
      await rejects('conflict', kit.store.copy(source, at('/b'), writeOptions({ metadata, condition: { kind: 'etag', etag: source.etag } })));
      assert.equal(await textOf(at('/b')), 'target');
      await kit.store.copy(source, at('/b'), writeOptions({ metadata, condition: { kind: 'etag', etag: target.etag } }));
      assert.equal(await textOf(at('/b')), 'source');
    });
    inDirectory('copies the marker of a directory, and nothing below it', async (at) => {
      await kit.store.createDirectory(at('/d'), writeOptions({ metadata: { op: '1' } }));
      await put(at('/d/f'), 'x');
      await put(at('/e/f'), 'y');
      const found = await kit.store.stat(at('/d'), signal());
      assert.ok(found !== undefined);
      const options = writeOptions({ metadata: { ...found.metadata, op: '2' }, condition: { kind: 'absent' } });
      await rejects('conflict', kit.store.copy({ name: at('/d'), etag: '"other"' }, at('/e'), options));
      const copied = await kit.store.copy({ name: at('/d'), etag: found.etag }, at('/e'), options);
      const there = await kit.store.stat(at('/e'), signal());
      assert.deepEqual([there?.isDirectory, there?.etag, there?.metadata.op], [true, copied.etag, '2']);
      assert.deepEqual([(await listed(at('/e'))).map(describeEntry), await textOf(at('/e/f'))], [['f file 1'], 'y']);
      await rejects('conflict', kit.store.copy({ name: at('/d'), etag: found.etag }, at('/e'), options));
      await kit.store.remove(at('/d'), { etag: found.etag, signal: signal() });
      assert.equal((await kit.store.stat(at('/d'), signal()))?.etag, '');
    });
    inDirectory('refuses to inherit the metadata of its source', async (at) => {
      const { etag } = await put(at('/a'), 'x', { metadata: { skiff_upload: 'u1' } });
      await rejects('invalid', kit.store.copy({ name: at('/a'), etag }, at('/b'), writeOptions()));
    });
  });

  describe('setMetadata', () => {
    inDirectory('replaces the metadata of one version, whose etag changes', async (at) => {
      const { etag } = await put(at('/f'), 'text', { metadata: { a: '1', b: '2' } });
      const changed = await kit.store.setMetadata(at('/f'), { b: '3' }, { etag, signal: signal() });
      assert.notEqual(changed.etag, etag);
      const found = await kit.store.stat(at('/f'), signal());
      assert.deepEqual([found?.etag, found?.metadata, await textOf(at('/f'))], [changed.etag, { b: '3' }, 'text']);
      await rejects('conflict', kit.store.setMetadata(at('/f'), {}, { etag, signal: signal() }));
      await rejects('notFound', kit.store.setMetadata(at('/none'), {}, { etag, signal: signal() }));
    });
    inDirectory('leaves a directory one when its own metadata is passed back', async (at) => {
      await kit.store.createDirectory(at('/d'), writeOptions({ metadata: { op: '1' } }));
      const found = await kit.store.stat(at('/d'), signal());
      assert.ok(found !== undefined);
      await kit.store.setMetadata(at('/d'), { ...found.metadata, op: '2' }, { etag: found.etag, signal: signal() });
      const changed = await kit.store.stat(at('/d'), signal());
      assert.deepEqual([changed?.isDirectory, changed?.metadata.op], [true, '2']);
    });
    inDirectory('leaves the blocks of a file to be used again', async (at) => {
      for (const id of ['b1', 'b2']) await stage(at('/f'), id, id);
      const { etag } = await commit(at('/f'), ['b1', 'b2']);
      await kit.store.setMetadata(at('/f'), { a: '1' }, { etag, signal: signal() });
      await commit(at('/f'), ['b2', 'b1']);
      assert.equal(await textOf(at('/f')), 'b2b1');
    });
  });

  describe('createDirectory', () => {
    inDirectory('makes an empty directory with metadata and a version', async (at) => {
      const { etag } = await kit.store.createDirectory(at('/d'), writeOptions({ metadata: { op: '1' } }));
      const found = await kit.store.stat(at('/d'), signal());
      assert.deepEqual([found?.isDirectory, found?.sizeBytes, found?.etag, found?.metadata.op], [true, 0, etag, '1']);
      assert.deepEqual(await listed(at('/d')), []);
    });
    inDirectory('fails with alreadyExists where a file or an explicit directory is', async (at) => {
      await put(at('/f'), 'x');
      await kit.store.createDirectory(at('/d'), writeOptions());
      await rejects('alreadyExists', kit.store.createDirectory(at('/f'), writeOptions()));
      await rejects('alreadyExists', kit.store.createDirectory(at('/d'), writeOptions()));
    });
    inDirectory('makes an implicit directory explicit', async (at) => {
      await put(at('/d/f'), 'x');
      await kit.store.createDirectory(at('/d'), writeOptions());
      await kit.store.remove(at('/d/f'), { signal: signal() });
      assert.equal((await kit.store.stat(at('/d'), signal()))?.isDirectory, true);
    });
  });
}
