import { createHash, randomUUID } from 'node:crypto';
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StoreError } from '@skiff/model/store-error';
import type { BlobName } from '@skiff/model/virtual-path';
import { unless } from './errno.ts';

/** Everything of ours that is not a file of a user: never listed, never addressed. On the same file system, so that renames are atomic. */
export const HIDDEN_DIRECTORY = '.skiff';

const DAY_MS = 24 * 3600_000;
/** As Azure keeps uncommitted blocks. */
const STAGED_MAX_AGE_MS = 7 * DAY_MS;
const TEMPORARY_MAX_AGE_MS = DAY_MS;

/**
 * Where things are below the root. No symbolic link is followed: each component is looked at, and files are opened with `O_NOFOLLOW`.
 * That keeps SFTP users in; it does not defend against another local process that swaps directories for links meanwhile.
 */
export class LocalTree {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  async prepare(now: number): Promise<void> {
    for (const directory of ['tmp', 'staged', 'meta']) await mkdir(this.#hidden(directory), { recursive: true, mode: 0o700 });
    await this.#sweep('tmp', now - TEMPORARY_MAX_AGE_MS);
    await this.#sweep('staged', now - STAGED_MAX_AGE_MS);
  }

  // What a killed process left behind.
  async #sweep(directory: string, before: number): Promise<void> {
    for (const name of await readdir(this.#hidden(directory))) {
      const path = this.#hidden(directory, name);
      const found = await unless(['ENOENT'], lstat(path));
      if (found !== undefined && found.mtimeMs < before) await rm(path, { recursive: true, force: true });
    }
  }

  temporary(): string {
    return this.#hidden('tmp', randomUUID());
  }

  stagedDirectory(name: BlobName): string {
    return this.#hidden('staged', hashOf(name));
  }

  sidecar(name: BlobName, stamp: string): string {
    const hash = hashOf(name);
    return this.#hidden('meta', hash.slice(0, 2), `${hash}.${stamp}`);
  }

  #hidden(...parts: readonly string[]): string {
    return join(this.root, HIDDEN_DIRECTORY, ...parts);
  }

  /** @throws {StoreError} `invalid` for a name that would leave the root or reach the hidden tree. */
  pathOf(name: BlobName): string {
    if (name === '') return this.root;
    const segments = name.split('/');
    if (segments[0] === HIDDEN_DIRECTORY || segments.some((segment) => segment === '' || segment === '.' || segment === '..' || segment.includes('\0'))) {
      throw new StoreError({ code: 'invalid', message: 'a name that the local store reserves' });
    }
    return join(this.root, ...segments);
  }

  /** @throws {StoreError} `denied` when the name or one of its parents is a symbolic link or another special file. */
  async lookUp(name: BlobName): Promise<BigIntStats | undefined> {
    let path = this.pathOf('' as BlobName);
    let found: BigIntStats | undefined;
    for (const segment of ['', ...this.pathOf(name).slice(this.root.length).split('/').filter(Boolean)]) {
      if (found !== undefined && !found.isDirectory()) return undefined;
      path = segment === '' ? path : `${path}/${segment}`;
      found = await unless(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'], lstat(path, { bigint: true }));
      if (found === undefined) return undefined;
      if (!found.isDirectory() && !found.isFile()) throw new StoreError({ code: 'denied', message: 'links and special files are not followed' });
    }
    return found;
  }

  /** Makes the parents of a name, durably. */
  async makeParents(name: BlobName): Promise<void> {
    const parent = parentOf(name);
    if (parent === '') return;
    const found = await this.lookUp(parent);
    if (found?.isDirectory() === true) return;
    await this.makeParents(parent);
    await unless(['EEXIST'], mkdir(this.pathOf(parent), { mode: 0o750 }));
    if ((await this.lookUp(parent))?.isDirectory() !== true) throw new StoreError({ code: 'conflict', message: 'a parent is a file', vendorCode: 'ENOTDIR' });
    await syncDirectory(dirname(this.pathOf(parent)));
  }

  async openFile(name: BlobName): Promise<FileHandle | undefined> {
    const found = await this.lookUp(name);
    if (found?.isFile() !== true) return undefined;
    return await unless(['ENOENT', 'ENOTDIR'], open(this.pathOf(name), constants.O_RDONLY | constants.O_NOFOLLOW));
  }
}

export function parentOf(name: BlobName): BlobName {
  const cut = name.lastIndexOf('/');
  return (cut === -1 ? '' : name.slice(0, cut)) as BlobName;
}

function hashOf(name: BlobName): string {
  return createHash('sha256').update(name).digest('hex');
}

/** A rename is durable only when its directory is written. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
