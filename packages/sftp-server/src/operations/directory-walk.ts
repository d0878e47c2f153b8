import type { BlobName } from '@skiff/model/virtual-path';
import type { FileStore } from '@skiff/storage/file-store';

export interface WalkStep {
  readonly files: readonly BlobName[];
  /** With a marker of its own or, in some stores, without. */
  readonly directories: readonly BlobName[];
}

/** Everything below a directory, a page at a time, in no order. */
export async function* walkDirectory(store: FileStore, directory: BlobName, signal: AbortSignal): AsyncGenerator<WalkStep> {
  // As the store lists it: only names that can be are listed.
  const nameOf = ({ name }: { readonly name: string }) => `${directory}/${name}` as BlobName;
  for await (const page of store.listBelow(directory, signal)) {
    const [files, directories] = [page.filter((entry) => !entry.isDirectory), page.filter((entry) => entry.isDirectory)];
    yield { files: files.map(nameOf), directories: directories.map(nameOf) };
  }
}

/** Where a name below a directory goes when the directory is given another name. */
export function renamedBelow(name: BlobName, source: BlobName, target: BlobName): BlobName {
  // A valid name with its beginning replaced by another valid one; its length has been checked for the whole directory.
  return `${target}${name.slice(source.length)}` as BlobName;
}
