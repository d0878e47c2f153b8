import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import type { BlobName } from '@skiff/model/virtual-path';
import { describeFileStore } from '../file-store.contract.ts';
import type { FileStore } from '../file-store.ts';
import { createLocalStore } from './local-store.ts';

describeFileStore('local', {
  makeStore: async (pageSize) => {
    const root = await mkdtemp(join(tmpdir(), 'skiff-local-'));
    return { store: await createLocalStore({ root, pageSize }), dispose: () => rm(root, { recursive: true }) };
  },
});

function localTest(claim: string, run: (store: FileStore, root: string) => Promise<void>): void {
  test(claim, async () => {
    const root = await mkdtemp(join(tmpdir(), 'skiff-local-'));
    try {
      await run(await createLocalStore({ root }), root);
    } finally {
      await rm(root, { recursive: true });
    }
  });
}

const signal = AbortSignal.timeout(60_000);
const name = (text: string): BlobName => text as BlobName;
const content = (text: string) => ({ parts: [Buffer.from(text)], sizeBytes: text.length });
async function collect(store: FileStore): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const page of store.list(name(''), signal)) names.push(...page.map((entry) => entry.name));
  return names;
}

const failsWith = (code: string) => (error: unknown) => error instanceof StoreError && error.code === code;

localTest('follows no symbolic link, neither as a file nor as a parent', async (store, root) => {
  const outside = await mkdtemp(join(tmpdir(), 'skiff-outside-'));
  try {
    await writeFile(join(outside, 'secret'), 'secret');
    await symlink(join(outside, 'secret'), join(root, 'file'));
    await symlink(outside, join(root, 'directory'));
    for (const path of ['file', 'directory/secret', 'directory/new']) {
      await assert.rejects(store.stat(name(path), signal), failsWith('denied'));
      await assert.rejects(store.put(name(path), content('x'), { metadata: {}, signal }), failsWith('denied'));
      await assert.rejects(store.read(name(path), { offset: 0, length: 1, etag: '"x"' }, signal), failsWith('denied'));
      await assert.rejects(store.remove(name(path), { signal }), failsWith('denied'));
    }
    assert.deepEqual(await collect(store), []);
    assert.deepEqual([await readdir(outside), await readFile(join(outside, 'secret'), 'utf8')], [['secret'], 'secret']);
  } finally {
    await rm(outside, { recursive: true });
  }
});

localTest('neither lists nor reaches its hidden tree, nor what lies above the root', async (store) => {
  await store.stageBlock(name('f'), 'b1', content('x'), signal);
  assert.deepEqual(await collect(store), []);
  for (const path of ['.skiff', '.skiff/tmp/x', '../x', 'a/../../x', 'a//b', './a']) {
    await assert.rejects(store.stat(name(path), signal), failsWith('invalid'), path);
    await assert.rejects(store.put(name(path), content('x'), { metadata: {}, signal }), failsWith('invalid'), path);
  }
});

localTest('leaves nothing under construction behind', async (store, root) => {
  await store.put(name('a/f'), content('x'), { metadata: { op: '1' }, signal });
  await store.createDirectory(name('d'), { metadata: {}, signal });
  await assert.rejects(store.put(name('a/f'), content('y'), { metadata: {}, signal, condition: { kind: 'absent' } }), failsWith('conflict'));
  assert.deepEqual(await readdir(join(root, '.skiff', 'tmp')), []);
});

localTest('keeps files, metadata and staged blocks for the next process', async (store, root) => {
  const { etag } = await store.put(name('f'), content('text'), { metadata: { op: '1' }, signal });
  await store.stageBlock(name('g'), 'b1', content('block'), signal);
  const next = await createLocalStore({ root });
  const found = await next.stat(name('f'), signal);
  assert.deepEqual([found?.etag, found?.metadata], [etag, { op: '1' }]);
  assert.deepEqual(await next.listStagedBlocks(name('g'), signal), [{ id: 'b1', sizeBytes: 5 }]);
});

localTest('takes a file that another program wrote for a new version without metadata', async (store, root) => {
  const { etag } = await store.put(name('f'), content('text'), { metadata: { op: '1' }, signal });
  await writeFile(join(root, 'f'), 'changed');
  const found = await store.stat(name('f'), signal);
  assert.deepEqual(found?.metadata, {});
  await assert.rejects(store.remove(name('f'), { etag, signal }), failsWith('conflict'));
  assert.equal(await readFile(join(root, 'f'), 'utf8'), 'changed');
});

localTest('refuses a file below a file and a file over a directory', async (store, root) => {
  await store.put(name('f'), content('x'), { metadata: {}, signal });
  await assert.rejects(store.put(name('f/g'), content('x'), { metadata: {}, signal }), failsWith('conflict'));
  await mkdir(join(root, 'd'));
  await assert.rejects(store.put(name('d'), content('x'), { metadata: {}, signal }), failsWith('conflict'));
});

test('names a root that is not there', async () => {
  await assert.rejects(createLocalStore({ root: join(tmpdir(), 'skiff-none', 'none') }), failsWith('notFound'));
});
