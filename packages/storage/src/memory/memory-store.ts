import { randomUUID } from 'node:crypto';
import { StoreError } from '@skiff/model/store-error';
import type { BlockRef } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { checkBlock, checkContent, checkRange } from '../content.ts';
import { DirectoryPages, IMPLICIT_DIRECTORY, isEntryName } from '../directory-pages.ts';
import type { CommittedFile, Content, DirectoryEntry, FileStore, ReadRange, StoredFile, StoreLimits, WriteCondition, WriteOptions } from '../file-store.ts';
import { checkCopyMetadata, checkMetadata, DIRECTORY_METADATA_KEY, isDirectoryMarker, type Metadata } from '../metadata.ts';

interface Block {
  readonly id: string;
  readonly bytes: Buffer;
}

interface Blob {
  readonly blocks: readonly Block[];
  readonly sizeBytes: number;
  readonly metadata: Metadata;
  readonly etag: string;
  readonly modifiedAt: Date;
}

export interface MemoryStoreOptions {
  /** Default `files`. Two stores are two identities even when it is the same. */
  readonly container?: string;
  /** Entries of one page of a listing. Default 1,000. */
  readonly pageSize?: number;
  readonly limits?: Partial<StoreLimits>;
  readonly now?: () => Date;
}

const DEFAULT_LIMITS: StoreLimits = { maxBlockBytes: 64 * 1024 * 1024, maxBlocks: 50_000, maxPutBytes: 64 * 1024 * 1024 };

/** Files in this process, for tests and trials. Behaves as Azure Blob Storage does where the two could differ. Unbounded by nature. */
export function createMemoryStore(options: MemoryStoreOptions = {}): FileStore {
  return new MemoryStore(options);
}

class MemoryStore implements FileStore {
  readonly identity: string;
  readonly container: string;
  readonly limits: StoreLimits;
  readonly #pageSize: number;
  readonly #now: () => Date;
  readonly #blobs = new Map<string, Blob>();
  readonly #staged = new Map<string, Map<string, Buffer>>();
  #versions = 0;

  constructor(options: MemoryStoreOptions) {
    this.container = options.container ?? 'files';
    this.identity = `memory:${randomUUID()}/${this.container}`;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#pageSize = options.pageSize ?? 1000;
    this.#now = options.now ?? (() => new Date());
  }

  urlOf(name: BlobName): string {
    return `memory:///${this.container}/${name.split('/').map(encodeURIComponent).join('/')}`;
  }

  async probe(signal: AbortSignal): Promise<void> {
    await turn(signal);
  }

  async stat(name: BlobName, signal: AbortSignal): Promise<StoredFile | undefined> {
    await turn(signal);
    const blob = this.#blobs.get(name);
    if (blob !== undefined) {
      const { sizeBytes, modifiedAt, etag, metadata } = blob;
      return { isDirectory: isDirectoryMarker(metadata), sizeBytes, modifiedAt, etag, metadata };
    }
    if (name === '') return IMPLICIT_DIRECTORY;
    for (const key of this.#blobs.keys()) if (key.startsWith(`${name}/`)) return IMPLICIT_DIRECTORY;
    return undefined;
  }

  async *list(directory: BlobName, signal: AbortSignal): AsyncIterable<readonly DirectoryEntry[]> {
    const prefix = directory === '' ? '' : `${directory}/`;
    const pages = new DirectoryPages();
    const items = this.#hierarchy(prefix);
    for (let start = 0; start < items.length; start += this.#pageSize) {
      await turn(signal);
      const page = items.slice(start, start + this.#pageSize);
      const blobs = page.filter((item) => !item.endsWith('/')).flatMap((item) => this.#entry(prefix, item));
      yield pages.next({ blobs, prefixes: page.filter((item) => item.endsWith('/')).map((item) => item.slice(0, -1)) });
    }
  }

  async *listBelow(directory: BlobName, signal: AbortSignal): AsyncIterable<readonly DirectoryEntry[]> {
    const prefix = directory === '' ? '' : `${directory}/`;
    const names = [...this.#blobs.keys()].filter((key) => key.startsWith(prefix)).sort((a, b) => (a < b ? -1 : 1));
    for (let start = 0; start < names.length; start += this.#pageSize) {
      await turn(signal);
      const page = names.slice(start, start + this.#pageSize).map((name) => name.slice(prefix.length));
      yield page.filter((name) => name.split('/').every(isEntryName)).flatMap((name) => this.#entry(prefix, name));
    }
  }

  #hierarchy(prefix: string): readonly string[] {
    const items = new Set<string>();
    for (const key of this.#blobs.keys()) {
      if (!key.startsWith(prefix)) continue;
      const rest = key.slice(prefix.length);
      const cut = rest.indexOf('/');
      items.add(cut === -1 ? rest : rest.slice(0, cut + 1));
    }
    return [...items].sort((a, b) => (a < b ? -1 : 1));
  }

  #entry(prefix: string, name: string): DirectoryEntry[] {
    const blob = this.#blobs.get(prefix + name);
    return blob === undefined ? [] : [{ name, isDirectory: isDirectoryMarker(blob.metadata), sizeBytes: blob.sizeBytes, modifiedAt: blob.modifiedAt }];
  }

  async read(name: BlobName, range: ReadRange, signal: AbortSignal): Promise<readonly Buffer[]> {
    checkRange(range);
    await turn(signal);
    const blob = this.#version(name, range.etag);
    const parts: Buffer[] = [];
    let start = 0;
    for (const { bytes } of blob.blocks) {
      const from = Math.max(range.offset - start, 0);
      const to = Math.min(range.offset + range.length - start, bytes.length);
      if (from < to) parts.push(bytes.subarray(from, to));
      start += bytes.length;
    }
    return parts;
  }

  async stageBlock(name: BlobName, blockId: string, content: Content, signal: AbortSignal): Promise<void> {
    checkBlock(blockId, content, this.limits.maxBlockBytes);
    // The caller may reuse its buffers as soon as this call ends, and may not change them before.
    const bytes = Buffer.concat(content.parts, content.sizeBytes);
    await turn(signal);
    const staged = this.#staged.get(name) ?? new Map<string, Buffer>();
    const known = this.#blobs.get(name)?.blocks[0]?.id || staged.keys().next().value;
    if (known !== undefined && known.length !== blockId.length) {
      throw new StoreError({ code: 'invalid', message: 'block ids of one blob must have equal length', vendorCode: 'InvalidBlobOrBlock' });
    }
    staged.set(blockId, bytes);
    this.#staged.set(name, staged);
  }

  async listStagedBlocks(name: BlobName, signal: AbortSignal): Promise<readonly BlockRef[]> {
    await turn(signal);
    return [...(this.#staged.get(name) ?? [])].map(([id, bytes]) => ({ id, sizeBytes: bytes.length }));
  }

  async commitBlocks(name: BlobName, blocks: readonly BlockRef[], options: WriteOptions): Promise<CommittedFile> {
    if (blocks.length > this.limits.maxBlocks) throw new StoreError({ code: 'invalid', message: 'too many blocks', vendorCode: 'BlockListTooLong' });
    checkMetadata(options.metadata);
    await turn(options.signal);
    this.#check(name, options.condition);
    const staged = this.#staged.get(name);
    const committed = new Map(this.#blobs.get(name)?.blocks.map((block) => [block.id, block.bytes]));
    const chosen = blocks.map(({ id }) => {
      const bytes = staged?.get(id) ?? (id === '' ? undefined : committed.get(id));
      if (bytes === undefined) throw new StoreError({ code: 'invalid', message: 'a block of the list is not there', vendorCode: 'InvalidBlockList' });
      return { id, bytes };
    });
    return this.#replace(name, chosen, options.metadata);
  }

  async put(name: BlobName, content: Content, options: WriteOptions): Promise<CommittedFile> {
    checkContent(content, this.limits.maxPutBytes);
    checkMetadata(options.metadata);
    const bytes = Buffer.concat(content.parts, content.sizeBytes);
    await turn(options.signal);
    this.#check(name, options.condition);
    // A single put leaves no block that a later commit could name.
    return this.#replace(name, [{ id: '', bytes }], options.metadata);
  }

  async remove(name: BlobName, options: { readonly etag?: string; readonly signal: AbortSignal }): Promise<void> {
    await turn(options.signal);
    this.#version(name, options.etag);
    this.#blobs.delete(name);
  }

  async copy(source: { readonly name: BlobName; readonly etag: string }, target: BlobName, options: WriteOptions): Promise<CommittedFile> {
    checkMetadata(options.metadata);
    checkCopyMetadata(options.metadata);
    await turn(options.signal);
    const { blocks } = this.#version(source.name, source.etag);
    this.#check(target, options.condition);
    return this.#replace(target, blocks, options.metadata);
  }

  async setMetadata(name: BlobName, metadata: Metadata, options: { readonly etag: string; readonly signal: AbortSignal }): Promise<CommittedFile> {
    checkMetadata(metadata);
    await turn(options.signal);
    const blob = { ...this.#version(name, options.etag), metadata: { ...metadata }, ...this.#nextVersion() };
    this.#blobs.set(name, blob);
    return { etag: blob.etag, modifiedAt: blob.modifiedAt };
  }

  async createDirectory(name: BlobName, options: WriteOptions): Promise<CommittedFile> {
    const metadata = { ...options.metadata, [DIRECTORY_METADATA_KEY]: 'true' };
    checkMetadata(metadata);
    await turn(options.signal);
    if (this.#blobs.has(name))
      throw new StoreError({ code: 'alreadyExists', message: 'a file or directory of this name exists', vendorCode: 'BlobAlreadyExists' });
    return this.#replace(name, [], metadata);
  }

  async close(): Promise<void> {
    this.#blobs.clear();
    this.#staged.clear();
  }

  #version(name: BlobName, etag: string | undefined): Blob {
    const blob = this.#blobs.get(name);
    if (blob === undefined) throw new StoreError({ code: 'notFound', message: 'no such file', vendorCode: 'BlobNotFound' });
    if (etag !== undefined && etag !== blob.etag) throw conflict();
    return blob;
  }

  #check(name: BlobName, condition: WriteCondition | undefined): void {
    if (condition === undefined) return;
    const etag = this.#blobs.get(name)?.etag;
    if (condition.kind === 'absent' ? etag !== undefined : etag !== condition.etag) throw conflict();
  }

  #replace(name: BlobName, blocks: readonly Block[], metadata: Metadata): CommittedFile {
    const version = this.#nextVersion();
    const sizeBytes = blocks.reduce((sum, block) => sum + block.bytes.length, 0);
    this.#blobs.set(name, { blocks, sizeBytes, metadata: { ...metadata }, ...version });
    this.#staged.delete(name);
    return version;
  }

  #nextVersion(): CommittedFile {
    return { etag: `"0x${(++this.#versions).toString(16).toUpperCase().padStart(15, '0')}"`, modifiedAt: this.#now() };
  }
}

/** Lets other callers run first, as every real store does, so that tests see the races. */
async function turn(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  if (signal.aborted) throw new StoreError({ code: 'aborted', message: 'the call was aborted', cause: signal.reason });
}

function conflict(): StoreError {
  return new StoreError({ code: 'conflict', message: 'the condition did not hold', vendorCode: 'ConditionNotMet' });
}
