import type { BlobName } from '@skiff/model/virtual-path';
import { MAX_BLOB_NAME_LENGTH } from '@skiff/model/virtual-path';
import type { FileStore } from '@skiff/storage/file-store';
import { renamedBelow, walkDirectory } from './directory-walk.ts';

/** Files and directories that one rename moves. More would keep its client waiting for longer than any waits. */
const MAX_MOVED = 10_000;

export interface CheckMoveProps {
  readonly store: FileStore;
  readonly source: BlobName;
  readonly target: BlobName;
  /** An empty directory at the new name may be replaced. */
  readonly replace: boolean;
}

/** Why a directory cannot be given this name, or `undefined`. Looks at all that lies below it, page by page, and changes nothing. */
export async function whyNotMoved({ store, source, target, replace }: CheckMoveProps, signal: AbortSignal): Promise<string | undefined> {
  const directory = await store.stat(source, signal);
  if (directory?.isDirectory !== true) return 'the directory was renamed or removed meanwhile';
  const there = await store.stat(target, signal);
  if (there?.isDirectory === false) return 'a file of the new name exists';
  if (there !== undefined) {
    if (!replace) return 'a directory of the new name exists';
    for await (const page of store.list(target, signal)) if (page.length > 0) return 'a directory of the new name exists, and is not empty';
  }
  return await whyTooLarge(store, source, target, signal);
}

async function whyTooLarge(store: FileStore, source: BlobName, target: BlobName, signal: AbortSignal): Promise<string | undefined> {
  let count = 0;
  for await (const { files, directories } of walkDirectory(store, source, signal)) {
    const names = [...files, ...directories];
    count += names.length;
    if (count > MAX_MOVED) return `the directory holds more than ${MAX_MOVED} files and directories; rename those in it one by one`;
    const tooLong = names.find((name) => renamedBelow(name, source, target).length > MAX_BLOB_NAME_LENGTH);
    if (tooLong !== undefined) return `a file in it would get a name of more than ${MAX_BLOB_NAME_LENGTH} characters`;
  }
  return undefined;
}
