import type { BigIntStats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { errorCode } from '../error-code.ts';

/** One manifest file as the last scan saw it. */
export interface ScannedFile {
  /** Changes with every write, rename and swap of a symlinked directory. */
  readonly fingerprint: string;
  readonly sizeBytes: number;
}

export interface ScanProblem {
  /** Path below the root of what could not be read; `''` is the root itself. Everything below it is unknown, not gone. */
  readonly path: string;
  readonly message: string;
}

export interface FolderScan {
  /** By path below the root, with `/`, in order of path. */
  readonly files: ReadonlyMap<string, ScannedFile>;
  readonly problems: readonly ScanProblem[];
}

/** Above this a folder is not a folder of manifests; 4,000 users in a file each fit twice. */
const MAX_MANIFEST_FILES = 10_000;
/** Bound for a mistaken mount; real trees have a handful of levels. */
const MAX_DEPTH = 16;
/** `stat` calls under way at a time: libuv has four threads, more only queue. */
const STAT_BATCH = 64;

const MANIFEST_NAME = /\.ya?ml$/;

/**
 * Lists the manifests of a folder and its subfolders. Follows symbolic links, since a mounted ConfigMap is made of them; leaves
 * out names that start with a dot (`..data`, `.git`, editors' swap files) and names that do not end in `.yaml` or `.yml`.
 * Never throws for the folder's content: what cannot be read is a problem.
 */
export async function scanFolder(root: string, options: { readonly signal: AbortSignal; readonly maxFiles?: number }): Promise<FolderScan> {
  const walk: Walk = { root, signal: options.signal, maxFiles: options.maxFiles ?? MAX_MANIFEST_FILES, files: [], problems: [] };
  await walkDirectory(walk, '', []);
  walk.files.sort(([left], [right]) => (left < right ? -1 : 1));
  return { files: new Map(walk.files), problems: walk.problems };
}

interface Walk {
  readonly root: string;
  readonly signal: AbortSignal;
  readonly maxFiles: number;
  readonly files: [string, ScannedFile][];
  readonly problems: ScanProblem[];
}

/** `ancestors` holds the inodes of the way down: a link that leads back up ends there. */
async function walkDirectory(walk: Walk, path: string, ancestors: readonly string[]): Promise<void> {
  walk.signal.throwIfAborted();
  let names: string[];
  let inode: string;
  try {
    const directory = join(walk.root, path);
    inode = inodeOf(await stat(directory, { bigint: true }));
    if (ancestors.includes(inode)) return;
    names = await readdir(directory);
  } catch (error) {
    // A subdirectory that went between the listing and now is simply gone; the root is never taken for gone.
    if (path !== '' && errorCode(error) === 'ENOENT') return;
    walk.problems.push({ path, message: `cannot read the folder: ${errorCode(error)}` });
    return;
  }
  const visible = names.filter((name) => !name.startsWith('.'));
  const directories: string[] = [];
  for (let start = 0; start < visible.length; start += STAT_BATCH) {
    walk.signal.throwIfAborted();
    const batch = visible.slice(start, start + STAT_BATCH).map((name) => posix.join(path, name));
    const found = await Promise.all(batch.map(async (child) => [child, await statOrProblem(walk, child)] as const));
    for (const [child, stats] of found) {
      if (stats?.isDirectory()) directories.push(child);
      if (!stats?.isFile() || !MANIFEST_NAME.test(child)) continue;
      if (walk.files.length === walk.maxFiles) {
        walk.problems.push({ path: '', message: `more than ${walk.maxFiles} manifest files; put several objects into one file` });
        return;
      }
      walk.files.push([child, { fingerprint: fingerprintOf(stats), sizeBytes: Number(stats.size) }]);
    }
  }
  for (const directory of directories) {
    if (ancestors.length + 1 >= MAX_DEPTH) walk.problems.push({ path: directory, message: `folders are nested deeper than ${MAX_DEPTH} levels` });
    else await walkDirectory(walk, directory, [...ancestors, inode]);
    if (walk.files.length === walk.maxFiles && walk.problems.some((problem) => problem.path === '')) return;
  }
}

async function statOrProblem(walk: Walk, path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(join(walk.root, path), { bigint: true });
  } catch (error) {
    // ENOENT: gone meanwhile, or an editor's lock that is a link to nowhere.
    if (errorCode(error) !== 'ENOENT') walk.problems.push({ path, message: `cannot read: ${errorCode(error)}` });
    return undefined;
  }
}

/** ctime is in it because tools that keep the mtime of what they copy cannot keep that. */
export function fingerprintOf(stats: BigIntStats): string {
  return `${inodeOf(stats)}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`;
}

function inodeOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}`;
}
