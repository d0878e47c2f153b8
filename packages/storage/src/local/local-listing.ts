import type { Dirent } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobName } from '@skiff/model/virtual-path';
import { isEntryName } from '../directory-pages.ts';
import type { DirectoryEntry } from '../file-store.ts';
import { unless } from './errno.ts';
import { HIDDEN_DIRECTORY, type LocalTree } from './local-tree.ts';

/** Links, special files and names that no client could ask for are left out. */
export async function* listLocal(tree: LocalTree, directory: BlobName, pageSize: number): AsyncIterable<readonly DirectoryEntry[]> {
  if ((await tree.lookUp(directory))?.isDirectory() !== true) return;
  const path = tree.pathOf(directory);
  const opened = await unless(['ENOENT', 'ENOTDIR'], opendir(path));
  if (opened === undefined) return;
  let page: Dirent[] = [];
  for await (const entry of opened) {
    if ((directory === '' && entry.name === HIDDEN_DIRECTORY) || !(entry.isFile() || entry.isDirectory()) || !isEntryName(entry.name)) continue;
    page.push(entry);
    if (page.length < pageSize) continue;
    yield await describe(path, page);
    page = [];
  }
  if (page.length > 0) yield await describe(path, page);
}

/** Depth first, each directory before what lies in it, whether it is explicit or not. Holds one page of each level it has gone down. */
export async function* listLocalBelow(tree: LocalTree, directory: BlobName, pageSize: number): AsyncIterable<readonly DirectoryEntry[]> {
  for await (const page of listLocal(tree, directory, pageSize)) {
    yield page;
    for (const { name, isDirectory } of page) {
      if (!isDirectory) continue;
      // As this store has listed it.
      const child = (directory === '' ? name : `${directory}/${name}`) as BlobName;
      for await (const below of listLocalBelow(tree, child, pageSize)) yield below.map((entry) => ({ ...entry, name: `${name}/${entry.name}` }));
    }
  }
}

async function describe(path: string, page: readonly Dirent[]): Promise<readonly DirectoryEntry[]> {
  const entries = await Promise.all(
    page.map(async ({ name }) => {
      const found = await unless(['ENOENT'], lstat(join(path, name)));
      if (found === undefined || !(found.isFile() || found.isDirectory())) return [];
      return [{ name, isDirectory: found.isDirectory(), sizeBytes: found.isDirectory() ? 0 : found.size, modifiedAt: found.mtime }];
    }),
  );
  return entries.flat();
}
