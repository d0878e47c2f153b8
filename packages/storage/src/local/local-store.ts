import type { BigIntStats } from 'node:fs';
import { constants } from 'node:fs';
import { access, type FileHandle, link, lstat, mkdir, open, readdir, realpath, rename, rm, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { StoreError } from '@skiff/model/store-error';
import type { BlockRef } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { checkBlock, checkContent, checkRange } from '../content.ts';
import { withDeadline } from '../deadline.ts';
import type { CommittedFile, Content, DirectoryEntry, FileStore, ReadRange, StoredFile, StoreLimits, WriteCondition, WriteOptions } from '../file-store.ts';
import { checkCopyMetadata, checkMetadata, DIRECTORY_METADATA_KEY, type Metadata } from '../metadata.ts';
import { localError, unless } from './errno.ts';
import { KeyedLock } from './keyed-lock.ts';
import { listLocal, listLocalBelow } from './local-listing.ts';
import { LocalTree, parentOf, syncDirectory } from './local-tree.ts';
import { etagOf, newSidecar, readSidecar, removeSidecar, type Sidecar, writeSidecar } from './sidecar.ts';
import { appendRange, assemble, dropStaged, firstStagedId, listStaged, moveStaged, writeTemporary } from './staging.ts';

export interface LocalStoreOptions {
  /** A directory that exists and that nobody else writes to while the store is in use. */
  readonly root: string;
  /** Entries of one page of a listing. Default 1,000. */
  readonly pageSize?: number;
  /** Of one call. Default 120,000: a commit copies all blocks of the file. */
  readonly timeoutMs?: number;
}

const LIMITS: StoreLimits = { maxBlockBytes: 64 * 1024 * 1024, maxBlocks: 50_000, maxPutBytes: 64 * 1024 * 1024 };

/**
 * Files in a directory of this machine, for one process at a time: conditions are serialised inside the process, and only `absent`
 * holds against others as well. Blocks, metadata and files under construction lie under `.skiff`, which no name reaches. Unlike a
 * container, a directory cannot hold `a` and `a/b` at once: the second is refused with `conflict`.
 *
 * @throws {StoreError} when the directory cannot be used.
 */
export async function createLocalStore(options: LocalStoreOptions): Promise<FileStore> {
  try {
    const tree = new LocalTree(await realpath(options.root));
    await tree.prepare(Date.now());
    return new LocalStore(tree, options);
  } catch (error) {
    throw localError(error);
  }
}

interface Version {
  readonly stats: BigIntStats;
  readonly sidecar: Sidecar | undefined;
  readonly etag: string;
}

class LocalStore implements FileStore {
  readonly identity: string;
  readonly container = 'local';
  readonly limits = LIMITS;
  readonly #tree: LocalTree;
  readonly #pageSize: number;
  readonly #timeoutMs: number;
  readonly #locks = new KeyedLock();

  constructor(tree: LocalTree, options: LocalStoreOptions) {
    this.#tree = tree;
    this.identity = `local:${tree.root}`;
    this.#pageSize = options.pageSize ?? 1000;
    this.#timeoutMs = options.timeoutMs ?? 120_000;
  }

  urlOf(name: BlobName): string {
    return pathToFileURL(this.#tree.pathOf(name)).href;
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.#call(signal, () => access(this.#tree.root, constants.R_OK | constants.W_OK | constants.X_OK));
  }

  async stat(name: BlobName, signal: AbortSignal): Promise<StoredFile | undefined> {
    return await this.#call(signal, async () => {
      const version = await this.#present(name);
      if (version === undefined) return undefined;
      const { stats, etag, sidecar } = version;
      return {
        isDirectory: stats.isDirectory(),
        sizeBytes: stats.isDirectory() ? 0 : Number(stats.size),
        modifiedAt: stats.mtime,
        etag: stats.isDirectory() && !(await this.#isExplicit(name, version)) ? '' : etag,
        metadata: sidecar?.metadata ?? (stats.isDirectory() ? { [DIRECTORY_METADATA_KEY]: 'true' } : {}),
      };
    });
  }

  list(directory: BlobName, signal: AbortSignal): AsyncIterable<readonly DirectoryEntry[]> {
    return this.#pages(listLocal(this.#tree, directory, this.#pageSize), signal);
  }

  listBelow(directory: BlobName, signal: AbortSignal): AsyncIterable<readonly DirectoryEntry[]> {
    return this.#pages(listLocalBelow(this.#tree, directory, this.#pageSize), signal);
  }

  /** Each page within a deadline of its own. */
  async *#pages(listing: AsyncIterable<readonly DirectoryEntry[]>, signal: AbortSignal): AsyncIterable<readonly DirectoryEntry[]> {
    const pages = listing[Symbol.asyncIterator]();
    try {
      for (;;) {
        const page = await this.#call(signal, () => pages.next());
        if (page.done === true) return;
        yield page.value;
      }
    } finally {
      await pages.return?.();
    }
  }

  async read(name: BlobName, range: ReadRange, signal: AbortSignal): Promise<readonly Buffer[]> {
    checkRange(range);
    return await this.#call(signal, () =>
      this.#withVersion(name, range.etag, async (file, { stats }) => {
        const length = Math.max(0, Math.min(range.length, Number(stats.size) - range.offset));
        const buffer = Buffer.allocUnsafe(length);
        for (let done = 0; done < length; ) {
          const { bytesRead } = await file.read(buffer, done, length - done, range.offset + done);
          if (bytesRead === 0) throw new StoreError({ code: 'unavailable', message: 'a file became shorter while it was read', vendorCode: 'IncompleteBody' });
          done += bytesRead;
        }
        return length === 0 ? [] : [buffer];
      }),
    );
  }

  async stageBlock(name: BlobName, blockId: string, content: Content, signal: AbortSignal): Promise<void> {
    checkBlock(blockId, content, LIMITS.maxBlockBytes);
    await this.#call(signal, async (within) => {
      this.#tree.pathOf(name);
      const temporary = await writeTemporary(this.#tree, content);
      await this.#locks.run(name, async () => {
        try {
          within.throwIfAborted();
          const known = (await firstStagedId(this.#tree, name)) ?? (await this.#present(name))?.sidecar?.blocks[0]?.id;
          if (known !== undefined && known.length !== blockId.length) {
            throw new StoreError({ code: 'invalid', message: 'block ids of one blob must have equal length', vendorCode: 'InvalidBlobOrBlock' });
          }
          await moveStaged(this.#tree, name, blockId, temporary);
        } finally {
          await rm(temporary, { force: true });
        }
      });
    });
  }

  async listStagedBlocks(name: BlobName, signal: AbortSignal): Promise<readonly BlockRef[]> {
    return await this.#call(signal, () => listStaged(this.#tree, name));
  }

  async commitBlocks(name: BlobName, blocks: readonly BlockRef[], options: WriteOptions): Promise<CommittedFile> {
    checkMetadata(options.metadata);
    if (blocks.length > LIMITS.maxBlocks) throw new StoreError({ code: 'invalid', message: 'too many blocks', vendorCode: 'BlockListTooLong' });
    return await this.#call(options.signal, (signal) =>
      this.#locks.run(name, async () => {
        const version = await this.#present(name);
        checkCondition(version, options.condition);
        const file = await this.#tree.openFile(name);
        try {
          const present = file === undefined ? undefined : { file, blocks: version?.sidecar?.blocks ?? [] };
          const made = await assemble({ tree: this.#tree, name, ids: blocks.map(({ id }) => id), present, signal });
          return await this.#publish(name, made, { ...options, signal });
        } finally {
          await file?.close();
        }
      }),
    );
  }

  async put(name: BlobName, content: Content, options: WriteOptions): Promise<CommittedFile> {
    checkContent(content, LIMITS.maxPutBytes);
    checkMetadata(options.metadata);
    return await this.#call(options.signal, async (signal) => {
      this.#tree.pathOf(name);
      const temporary = await writeTemporary(this.#tree, content);
      return await this.#locks.run(name, () => this.#publish(name, { temporary, blocks: [] }, { ...options, signal }));
    });
  }

  async remove(name: BlobName, options: { readonly etag?: string; readonly signal: AbortSignal }): Promise<void> {
    await this.#call(options.signal, (signal) =>
      this.#locks.run(name, async () => {
        const version = await this.#existing(name, options.etag);
        signal.throwIfAborted();
        const path = this.#tree.pathOf(name);
        if (version.stats.isDirectory()) await unless(['ENOTEMPTY', 'EEXIST'], rmdir(path));
        else await rm(path);
        await removeSidecar(this.#tree, name, version.stats);
        await syncDirectory(dirname(path));
      }),
    );
    await this.#call(options.signal, () => this.#prune(parentOf(name)));
  }

  async copy(source: { readonly name: BlobName; readonly etag: string }, target: BlobName, options: WriteOptions): Promise<CommittedFile> {
    checkMetadata(options.metadata);
    checkCopyMetadata(options.metadata);
    return await this.#call(options.signal, async (signal) => {
      this.#tree.pathOf(target);
      const directory = await this.#tree.lookUp(source.name);
      if (directory?.isDirectory() === true) return await this.#copyMarker(source, target, { ...options, signal });
      const made = await this.#withVersion(source.name, source.etag, async (file, { stats, sidecar }) => {
        const temporary = this.#tree.temporary();
        const copy = await open(temporary, 'wx', 0o640);
        try {
          await appendRange({ source: file, offset: 0, length: Number(stats.size), target: copy, signal });
        } catch (error) {
          await rm(temporary, { force: true });
          throw error;
        } finally {
          await copy.close();
        }
        return { temporary, blocks: sidecar?.blocks ?? [] };
      });
      return await this.#locks.run(target, () => this.#publish(target, made, { ...options, signal }));
    });
  }

  async setMetadata(name: BlobName, metadata: Metadata, options: { readonly etag: string; readonly signal: AbortSignal }): Promise<CommittedFile> {
    checkMetadata(metadata);
    return await this.#call(options.signal, (signal) =>
      this.#locks.run(name, async () => {
        const { stats, sidecar } = await this.#existing(name, options.etag);
        signal.throwIfAborted();
        const changed = newSidecar(metadata, sidecar?.blocks ?? []);
        await writeSidecar(this.#tree, name, stats, changed);
        return { etag: etagOf(stats, changed), modifiedAt: stats.mtime };
      }),
    );
  }

  async createDirectory(name: BlobName, options: WriteOptions): Promise<CommittedFile> {
    const sidecar = newSidecar({ ...options.metadata, [DIRECTORY_METADATA_KEY]: 'true' }, []);
    checkMetadata(sidecar.metadata);
    return await this.#call(options.signal, (signal) => this.#locks.run(name, () => this.#mark(name, sidecar, signal)));
  }

  async #mark(name: BlobName, sidecar: Sidecar, signal: AbortSignal): Promise<CommittedFile> {
    const present = await this.#present(name);
    if (present !== undefined && (await this.#isExplicit(name, present))) {
      throw new StoreError({ code: 'alreadyExists', message: 'a file or directory of this name exists' });
    }
    signal.throwIfAborted();
    const stats = present?.stats ?? (await this.#makeDirectory(name, sidecar));
    if (present !== undefined) await writeSidecar(this.#tree, name, stats, sidecar);
    return { etag: etagOf(stats, sidecar), modifiedAt: stats.mtime };
  }

  async #copyMarker(source: { readonly name: BlobName; readonly etag: string }, target: BlobName, options: WriteOptions): Promise<CommittedFile> {
    await this.#existing(source.name, source.etag);
    const sidecar = newSidecar({ ...options.metadata, [DIRECTORY_METADATA_KEY]: 'true' }, []);
    return await this.#locks.run(target, async () => {
      const present = await this.#present(target);
      checkCondition(present !== undefined && (await this.#isExplicit(target, present)) ? present : undefined, options.condition);
      return await this.#mark(target, sidecar, options.signal);
    });
  }

  async close(): Promise<void> {}

  // The metadata is there before the directory is: whoever sees the one sees the other.
  async #makeDirectory(name: BlobName, sidecar: Sidecar): Promise<BigIntStats> {
    const temporary = this.#tree.temporary();
    await mkdir(temporary, { mode: 0o750 });
    try {
      const stats = await lstat(temporary, { bigint: true });
      await writeSidecar(this.#tree, name, stats, sidecar);
      await this.#moveIntoPlace(name, (path) => rename(temporary, path));
      return stats;
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }

  /** Moves a finished file to its name. The caller holds the name's lock; the temporary file is gone afterwards, whatever happens. */
  async #publish(name: BlobName, made: { readonly temporary: string; readonly blocks: readonly BlockRef[] }, options: WriteOptions): Promise<CommittedFile> {
    try {
      const present = await this.#present(name);
      checkCondition(present, options.condition);
      if (present?.stats.isDirectory() === true) throw new StoreError({ code: 'conflict', message: 'a directory has this name', vendorCode: 'EISDIR' });
      await syncFile(made.temporary);
      const stats = await lstat(made.temporary, { bigint: true });
      const sidecar = newSidecar(options.metadata, made.blocks);
      await writeSidecar(this.#tree, name, stats, sidecar);
      options.signal.throwIfAborted();
      // link() refuses to replace, also what another process has just made.
      const place = options.condition?.kind === 'absent' ? link : rename;
      await this.#moveIntoPlace(name, (path) => place(made.temporary, path));
      if (present !== undefined) await removeSidecar(this.#tree, name, present.stats);
      await dropStaged(this.#tree, name);
      return { etag: etagOf(stats, sidecar), modifiedAt: stats.mtime };
    } finally {
      await rm(made.temporary, { force: true });
    }
  }

  /** The parents may be pruned between making and using them. */
  async #moveIntoPlace(name: BlobName, move: (path: string) => Promise<void>): Promise<void> {
    const path = this.#tree.pathOf(name);
    for (let attempt = 0; attempt < 10; attempt++) {
      await this.#tree.makeParents(name);
      const moved = await unless(
        ['ENOENT'],
        move(path).then(() => true),
      );
      if (moved === undefined) continue;
      await syncDirectory(dirname(path));
      return;
    }
    throw new StoreError({ code: 'unavailable', message: 'the directory of a file is removed again and again' });
  }

  async #present(name: BlobName): Promise<Version | undefined> {
    const stats = await this.#tree.lookUp(name);
    if (stats === undefined) return undefined;
    const sidecar = await readSidecar(this.#tree, name, stats);
    return { stats, sidecar, etag: etagOf(stats, sidecar) };
  }

  async #existing(name: BlobName, etag: string | undefined): Promise<Version> {
    const version = await this.#present(name);
    if (version === undefined || !(await this.#isExplicit(name, version))) throw new StoreError({ code: 'notFound', message: 'no such file' });
    if (etag !== undefined && etag !== version.etag) throw conflict();
    return version;
  }

  // An empty directory without metadata was made by another program: nothing below it could make it implicit.
  async #isExplicit(name: BlobName, { stats, sidecar }: Version): Promise<boolean> {
    return !stats.isDirectory() || sidecar !== undefined || (name !== '' && (await readdir(this.#tree.pathOf(name))).length === 0);
  }

  async #withVersion<Result>(name: BlobName, etag: string, run: (file: FileHandle, version: Version) => Promise<Result>): Promise<Result> {
    const file = await this.#tree.openFile(name);
    if (file === undefined) throw new StoreError({ code: 'notFound', message: 'no such file' });
    try {
      const stats = await file.stat({ bigint: true });
      const sidecar = await readSidecar(this.#tree, name, stats);
      if (etagOf(stats, sidecar) !== etag) throw conflict();
      return await run(file, { stats, sidecar, etag });
    } finally {
      await file.close();
    }
  }

  /** Implicit directories go with their last file. */
  async #prune(directory: BlobName): Promise<void> {
    for (let name = directory; name !== ''; name = parentOf(name)) {
      const pruned = await this.#locks.run(name, async () => {
        const version = await this.#present(name);
        if (version === undefined) return true;
        if (version.sidecar !== undefined || !version.stats.isDirectory()) return false;
        return (
          (await unless(
            ['ENOTEMPTY', 'EEXIST'],
            rmdir(this.#tree.pathOf(name)).then(() => true),
          )) === true
        );
      });
      if (!pruned) return;
    }
  }

  // File system calls cannot be ended: the caller stops waiting, and the steps in between look at the signal.
  #call<Result>(signal: AbortSignal, run: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    return withDeadline(signal, this.#timeoutMs, async (within) => {
      const ended = Promise.withResolvers<never>();
      within.addEventListener('abort', () => ended.reject(within.reason), { once: true });
      try {
        return await Promise.race([run(within), ended.promise]);
      } catch (error) {
        throw localError(error);
      }
    });
  }
}

function checkCondition(version: Version | undefined, condition: WriteCondition | undefined): void {
  if (condition === undefined) return;
  // An implicit directory is nothing that a name could collide with in a container, and everything on a file system.
  if (condition.kind === 'absent' ? version !== undefined : version?.etag !== condition.etag) throw conflict();
}

function conflict(): StoreError {
  return new StoreError({ code: 'conflict', message: 'the condition did not hold', vendorCode: 'ConditionNotMet' });
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
