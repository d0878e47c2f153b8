import type { BlockRef } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';

/** Bytes as they came off the wire, not joined: `sizeBytes` is the sum of the parts' lengths. */
export interface Content {
  readonly parts: readonly Uint8Array[];
  readonly sizeBytes: number;
}

export interface StoredFile {
  readonly isDirectory: boolean;
  readonly sizeBytes: number;
  readonly modifiedAt: Date;
  /** Opaque version of a committed file, quoted as the store gives it; empty for implicit directories. */
  readonly etag: string;
  /** Keys in lower case. An explicit directory's has `hdi_isfolder`, which must be passed on when it is replaced. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly isDirectory: boolean;
  readonly sizeBytes: number;
  readonly modifiedAt: Date;
}

/** `etag`: only over this version. `absent`: only where nothing is. */
export type WriteCondition = { readonly kind: 'etag'; readonly etag: string } | { readonly kind: 'absent' };

export interface WriteOptions {
  readonly condition?: WriteCondition;
  /**
   * The whole metadata: what is not passed is lost. Keys `[a-z_][a-z0-9_]*`, values printable ASCII without blanks at the ends,
   * 8 KiB together; anything else is `invalid`.
   */
  readonly metadata: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface CommittedFile {
  readonly etag: string;
  readonly modifiedAt: Date;
}

export interface ReadRange {
  readonly offset: number;
  readonly length: number;
  /** Fails with `conflict` when the file has changed since. */
  readonly etag: string;
}

export interface StoreLimits {
  readonly maxBlockBytes: number;
  readonly maxBlocks: number;
  /** A file up to this size may be written by one {@link FileStore.put}. */
  readonly maxPutBytes: number;
}

/**
 * Where files live: one flat container of names with `/` as the delimiter. Every call ends within its adapter's timeout or
 * when the signal is aborted, and fails with a `StoreError` of `@skiff/model/store-error` only. One contract suite
 * (`file-store.contract.ts`) holds for every adapter.
 */
export interface FileStore {
  /** Account and container: two stores with the same identity hold the same files. Part of every lock key. */
  readonly identity: string;
  readonly container: string;
  readonly limits: StoreLimits;
  /** Address of a blob, without credentials. */
  urlOf(name: BlobName): string;
  /** Succeeds when the store can be reached and read. */
  probe(signal: AbortSignal): Promise<void>;
  /** A committed file, an explicit directory, or an implicit one (a prefix with something below it). */
  stat(name: BlobName, signal: AbortSignal): Promise<StoredFile | undefined>;
  /** Children of a directory (`''` is the container's root), page by page, in no promised order, in flat memory. */
  list(directory: BlobName, signal: AbortSignal): AsyncIterable<readonly DirectoryEntry[]>;
  /**
   * All that lies below a directory, however deep, named from there, page by page, in no promised order, in flat memory: files and
   * explicit directories. Implicit directories may be among them.
   */
  listBelow(directory: BlobName, signal: AbortSignal): AsyncIterable<readonly DirectoryEntry[]>;
  /** Reads a range of at most 64 MiB of one version; shorter than asked only at the end of the file. */
  read(name: BlobName, range: ReadRange, signal: AbortSignal): Promise<readonly Buffer[]>;
  /** Stages a block of at least one byte: invisible until committed. Repeating an id replaces the block. Ids of one blob have equal length, at most 64 characters. */
  stageBlock(name: BlobName, blockId: string, content: Content, signal: AbortSignal): Promise<void>;
  /** Blocks staged and not committed, with their sizes. */
  listStagedBlocks(name: BlobName, signal: AbortSignal): Promise<readonly BlockRef[]>;
  /**
   * Makes the file of these blocks, whole, at once; blocks of the present version may be among them. `invalid` with the vendor
   * code `InvalidBlockList` when one is not there. Drops every other staged block of that name, whoever staged it.
   */
  commitBlocks(name: BlobName, blocks: readonly BlockRef[], options: WriteOptions): Promise<CommittedFile>;
  /** Writes a small file in one step. */
  put(name: BlobName, content: Content, options: WriteOptions): Promise<CommittedFile>;
  /** Removes one version of a file, or an explicit directory's marker. `notFound` when it is not there, `conflict` when it changed. */
  remove(name: BlobName, options: { readonly etag?: string; readonly signal: AbortSignal }): Promise<void>;
  /**
   * Copies one version of a file, or of an explicit directory's marker and nothing below it, within the container; the target appears
   * whole. The target's metadata is `options.metadata`, which must not be empty.
   */
  copy(source: { readonly name: BlobName; readonly etag: string }, target: BlobName, options: WriteOptions): Promise<CommittedFile>;
  /** Replaces the metadata of one version; the etag changes. */
  setMetadata(
    name: BlobName,
    metadata: Readonly<Record<string, string>>,
    options: { readonly etag: string; readonly signal: AbortSignal },
  ): Promise<CommittedFile>;
  /** Makes an explicit, empty directory. `alreadyExists` where a file or an explicit directory is. */
  createDirectory(name: BlobName, options: WriteOptions): Promise<CommittedFile>;
  close(): Promise<void>;
}
