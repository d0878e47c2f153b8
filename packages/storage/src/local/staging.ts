import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { StoreError } from '@skiff/model/store-error';
import type { BlockRef } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import type { Content } from '../file-store.ts';
import { unless } from './errno.ts';
import type { LocalTree } from './local-tree.ts';

/** How much is held at once while a file is put together. */
const COPY_BYTES = 1024 * 1024;

/** Writes the parts to a new file, which the caller moves into place or removes. */
export async function writeTemporary(tree: LocalTree, content: Content): Promise<string> {
  const path = tree.temporary();
  const file = await open(path, 'wx', 0o640);
  try {
    const { bytesWritten } = content.parts.length === 0 ? { bytesWritten: 0 } : await file.writev(content.parts);
    if (bytesWritten !== content.sizeBytes)
      throw new StoreError({ code: 'unavailable', message: 'the file system took a part only', vendorCode: 'ShortWrite' });
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return path;
}

/** Not synced: a block that a power cut takes is missing from the list of staged blocks, or has another size. */
export async function moveStaged(tree: LocalTree, name: BlobName, blockId: string, temporary: string): Promise<void> {
  await mkdir(tree.stagedDirectory(name), { recursive: true, mode: 0o700 });
  await rename(temporary, stagedPath(tree, name, blockId));
}

// A block id may hold characters that a file name may not.
function stagedPath(tree: LocalTree, name: BlobName, blockId: string): string {
  return join(tree.stagedDirectory(name), Buffer.from(blockId).toString('hex'));
}

export async function listStaged(tree: LocalTree, name: BlobName): Promise<readonly BlockRef[]> {
  const files = (await unless(['ENOENT'], readdir(tree.stagedDirectory(name)))) ?? [];
  const blocks = await Promise.all(
    files.map(async (file) => {
      const found = await unless(['ENOENT'], stat(join(tree.stagedDirectory(name), file)));
      return found === undefined ? [] : [{ id: Buffer.from(file, 'hex').toString(), sizeBytes: found.size }];
    }),
  );
  return blocks.flat();
}

export async function firstStagedId(tree: LocalTree, name: BlobName): Promise<string | undefined> {
  const [file] = (await unless(['ENOENT'], readdir(tree.stagedDirectory(name)))) ?? [];
  return file === undefined ? undefined : Buffer.from(file, 'hex').toString();
}

export async function dropStaged(tree: LocalTree, name: BlobName): Promise<void> {
  await rm(tree.stagedDirectory(name), { recursive: true, force: true });
}

export interface Assembly {
  readonly tree: LocalTree;
  readonly name: BlobName;
  readonly ids: readonly string[];
  /** The present version and its blocks, some of which may be used again. */
  readonly present: { readonly file: FileHandle; readonly blocks: readonly BlockRef[] } | undefined;
  readonly signal: AbortSignal;
}

/** Puts a file together from staged and committed blocks. @throws {StoreError} `invalid`, vendor code `InvalidBlockList` */
export async function assemble(assembly: Assembly): Promise<{ readonly temporary: string; readonly blocks: readonly BlockRef[] }> {
  const temporary = assembly.tree.temporary();
  const target = await open(temporary, 'wx', 0o640);
  try {
    const blocks: BlockRef[] = [];
    for (const id of assembly.ids) {
      assembly.signal.throwIfAborted();
      blocks.push({ id, sizeBytes: await appendBlock(assembly, id, target) });
    }
    await target.sync();
    return { temporary, blocks };
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await target.close();
  }
}

async function appendBlock({ tree, name, present, signal }: Assembly, id: string, target: FileHandle): Promise<number> {
  const staged = await unless(['ENOENT'], open(stagedPath(tree, name, id), 'r'));
  if (staged !== undefined) {
    try {
      const { size } = await staged.stat();
      await appendRange({ source: staged, offset: 0, length: size, target, signal });
      return size;
    } finally {
      await staged.close();
    }
  }
  let offset = 0;
  for (const block of present?.blocks ?? []) {
    if (block.id === id && present !== undefined) {
      await appendRange({ source: present.file, offset, length: block.sizeBytes, target, signal });
      return block.sizeBytes;
    }
    offset += block.sizeBytes;
  }
  throw new StoreError({ code: 'invalid', message: 'a block of the list is not there', vendorCode: 'InvalidBlockList' });
}

interface RangeCopy {
  readonly source: FileHandle;
  readonly offset: number;
  readonly length: number;
  /** Written at its end. */
  readonly target: FileHandle;
  readonly signal: AbortSignal;
}

export async function appendRange({ source, offset, length, target, signal }: RangeCopy): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(COPY_BYTES, length));
  for (let done = 0; done < length; ) {
    signal.throwIfAborted();
    const { bytesRead } = await source.read(buffer, 0, Math.min(buffer.length, length - done), offset + done);
    if (bytesRead === 0) throw new StoreError({ code: 'unavailable', message: 'a file became shorter while it was read', vendorCode: 'IncompleteBody' });
    await target.writeFile(buffer.subarray(0, bytesRead));
    done += bytesRead;
  }
}
