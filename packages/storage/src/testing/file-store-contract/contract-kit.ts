import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError, type StoreErrorCode } from '@skiff/model/store-error';
import type { BlockRef } from '@skiff/model/upload-state';
import { type BlobName, parseVirtualPath, toBlobName, toJail } from '@skiff/model/virtual-path';
import type { Content, DirectoryEntry, FileStore, WriteOptions } from '../../file-store.ts';

/** Makes a store of few entries a page show several of them. */
export const LIST_PAGE_SIZE = 40;

export const WEIRD_NAMES = [
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

/** What the cases of the contract work with. */
export class ContractKit {
  /** Entries of the large directory. */
  readonly manyEntries: number;
  readonly #store: () => FileStore;
  #cases = 0;

  /** `store` is asked for when the tests run. */
  constructor(props: { readonly store: () => FileStore; readonly manyEntries: number }) {
    this.#store = props.store;
    this.manyEntries = props.manyEntries;
  }

  get store(): FileStore {
    return this.#store();
  }

  /** A case with a directory of its own. */
  readonly inDirectory = (claim: string, run: (at: (path: string) => BlobName) => Promise<void>): void => {
    test(claim, { timeout: 60_000 }, async () => {
      const jail = toJail('/', `/case-${++this.#cases}`);
      await run((path) => toBlobName(jail, parseVirtualPath(path)));
    });
  };

  readonly put = (path: BlobName, text: string, more: Partial<WriteOptions> = {}) => this.store.put(path, contentOf(text), writeOptions(more));

  readonly stage = (path: BlobName, id: string, text: string) => this.store.stageBlock(path, id, contentOf(text), signal());

  readonly commit = (path: BlobName, ids: readonly string[], more: Partial<WriteOptions> = {}) => this.store.commitBlocks(path, refs(ids), writeOptions(more));

  readonly etagOf = async (path: BlobName) => (await this.store.stat(path, signal()))?.etag ?? '';

  readonly textOf = async (path: BlobName, offset = 0, length = 1024 * 1024) =>
    Buffer.concat(await this.store.read(path, { offset, length, etag: await this.etagOf(path) }, signal())).toString();

  readonly stagedIn = async (path: BlobName) =>
    [...(await this.store.listStagedBlocks(path, signal()))].sort((a, b) => (a.id < b.id ? -1 : 1)).map(({ id, sizeBytes }) => `${id}:${sizeBytes}`);

  readonly listed = (directory: BlobName) => collect(this.store, directory);
}

export function contentOf(text: string): Content {
  const bytes = Buffer.from(text);
  return { parts: bytes.length === 0 ? [] : [bytes], sizeBytes: bytes.length };
}

export function writeOptions(more: Partial<WriteOptions> = {}): WriteOptions {
  return { metadata: {}, signal: signal(), ...more };
}

export function signal(): AbortSignal {
  return AbortSignal.timeout(30_000);
}

function refs(ids: readonly string[]): readonly BlockRef[] {
  return ids.map((id) => ({ id, sizeBytes: 0 }));
}

export function describeEntry(entry: DirectoryEntry): string {
  return `${entry.name} ${entry.isDirectory ? 'dir' : 'file'} ${entry.sizeBytes}`;
}

export async function collect(store: FileStore, directory: BlobName, within: AbortSignal = signal()): Promise<DirectoryEntry[]> {
  const entries: DirectoryEntry[] = [];
  for await (const page of store.list(directory, within)) entries.push(...page);
  return entries;
}

export async function inParallel<Item>(items: readonly Item[], run: (item: Item) => Promise<unknown>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (const item of queue) await run(item);
    }),
  );
}

export async function rejects(code: StoreErrorCode, call: Promise<unknown>, vendorCode?: string): Promise<void> {
  await assert.rejects(call, (error: unknown) => {
    assert.ok(error instanceof StoreError, `not a StoreError: ${String(error)}`);
    assert.equal(error.code, code);
    if (vendorCode !== undefined) assert.equal(error.vendorCode, vendorCode);
    return true;
  });
}
