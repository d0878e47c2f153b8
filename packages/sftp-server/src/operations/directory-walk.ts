import type { BlobName } from '@skiff/model/virtual-path';
import type { FileStore } from '@skiff/storage/file-store';

const BATCH = 100;

/** Files of one directory, or one directory after all that lies in it. */
export type WalkStep =
  | { readonly kind: 'files'; readonly names: readonly BlobName[] }
  /** With a marker of its own or without. */
  | { readonly kind: 'directory'; readonly name: BlobName };

/** Everything below a directory, depth first. Holds one page of each level it has gone down. */
export async function* walkDirectory(store: FileStore, directory: BlobName, signal: AbortSignal): AsyncGenerator<WalkStep> {
  for await (const page of store.list(directory, signal)) {
    const files = page.filter((entry) => !entry.isDirectory).map((entry) => below(directory, entry.name));
    for (let start = 0; start < files.length; start += BATCH) yield { kind: 'files', names: files.slice(start, start + BATCH) };
    for (const entry of page) {
      if (!entry.isDirectory) continue;
      const name = below(directory, entry.name);
      yield* walkDirectory(store, name, signal);
      yield { kind: 'directory', name };
    }
  }
}

/** Where a name below a directory goes when the directory is given another name. */
export function renamedBelow(name: BlobName, source: BlobName, target: BlobName): BlobName {
  // A valid name with its beginning replaced by another valid one; its length has been checked for the whole directory.
  return `${target}${name.slice(source.length)}` as BlobName;
}

function below(directory: BlobName, name: string): BlobName {
  // As the store lists it: only names that can be are listed.
  return `${directory}/${name}` as BlobName;
}
