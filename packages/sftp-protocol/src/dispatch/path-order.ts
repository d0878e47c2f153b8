import { isWithin, type VirtualPath } from '@skiff/model/virtual-path';

interface Entry {
  readonly paths: readonly VirtualPath[];
  readonly writes: boolean;
  readonly done: Promise<void>;
}

/**
 * Keeps the order of requests that concern each other: two requests of a channel conflict when one path is the other or lies
 * above it and at least one of them changes something. A conflicting request waits for the earlier one; all others overlap.
 * So a slow CLOSE holds up a RENAME of the same file but no other file. Bounded by its caller's limit of requests.
 */
export class PathOrder {
  readonly #running = new Set<Entry>();

  async run<Result>(paths: readonly VirtualPath[], writes: boolean, task: () => Promise<Result>): Promise<Result> {
    const before = [...this.#running].filter((entry) => (entry.writes || writes) && concern(entry.paths, paths));
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const entry: Entry = { paths, writes, done };
    this.#running.add(entry);
    try {
      for (const earlier of before) await earlier.done;
      return await task();
    } finally {
      this.#running.delete(entry);
      resolve();
    }
  }
}

function concern(some: readonly VirtualPath[], others: readonly VirtualPath[]): boolean {
  return some.some((a) => others.some((b) => isWithin(a, b) || isWithin(b, a)));
}
