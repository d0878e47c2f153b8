import { childPath, PathError, ROOT_PATH } from '@skiff/model/virtual-path';
import type { DirectoryEntry, StoredFile } from './file-store.ts';

/** A prefix without a marker has no time of its own; a listing and a stat must agree on what it is. */
const IMPLICIT_DIRECTORY_TIME = new Date(0);

export const IMPLICIT_DIRECTORY: StoredFile = { isDirectory: true, sizeBytes: 0, modifiedAt: IMPLICIT_DIRECTORY_TIME, etag: '', metadata: {} };

export interface RawPage {
  readonly blobs: readonly DirectoryEntry[];
  /** Child directories that exist only because something lies below them. */
  readonly prefixes: readonly string[];
}

/**
 * Turns a hierarchy listing into directory entries: a marker blob `x` and the prefix `x/` are one entry, even where they
 * arrive on different pages. Pages follow each other in lexicographic order (List Blobs), while the order inside a page is
 * free. All that sorts between `x` and `x/` begins with `x`, so only names that the page's last name begins with need to be
 * remembered: at most as many as that name has characters.
 */
export class DirectoryPages {
  #carried = new Set<string>();
  #skipped = 0;

  /** Names that no path of this system can have, and so were left out. */
  get skipped(): number {
    return this.#skipped;
  }

  next(page: RawPage): DirectoryEntry[] {
    const entries = new Map<string, DirectoryEntry>();
    let last = '';
    for (const blob of page.blobs) {
      if (blob.name > last) last = blob.name;
      if (this.#accepts(blob.name)) entries.set(blob.name, blob);
    }
    for (const name of page.prefixes) {
      if (`${name}/` > last) last = `${name}/`;
      if (entries.has(name) || this.#carried.has(name) || !this.#accepts(name)) continue;
      entries.set(name, { name, isDirectory: true, sizeBytes: 0, modifiedAt: IMPLICIT_DIRECTORY_TIME });
    }
    const names = new Set([...this.#carried, ...page.blobs.map((blob) => blob.name)]);
    this.#carried = new Set([...names].filter((name) => last.startsWith(name)));
    return [...entries.values()];
  }

  #accepts(name: string): boolean {
    const legal = isEntryName(name);
    if (!legal) this.#skipped++;
    return legal;
  }
}

/** True for a name that a client could ask for again. */
export function isEntryName(name: string): boolean {
  try {
    childPath(ROOT_PATH, name);
    return true;
  } catch (error) {
    if (error instanceof PathError) return false;
    throw error;
  }
}
