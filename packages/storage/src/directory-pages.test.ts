import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DirectoryPages, isEntryName } from './directory-pages.ts';
import type { DirectoryEntry } from './file-store.ts';

const segment = fc.string({ unit: fc.constantFrom('a', 'b', '-', '.', '0', ' ', '!'), minLength: 1, maxLength: 3 });
/** Names below one directory: files, markers and what lies deeper. */
const names = fc.uniqueArray(
  fc.oneof(
    segment,
    fc.tuple(segment, segment).map((parts) => parts.join('/')),
  ),
  { maxLength: 40 },
);

function entry(name: string, isDirectory: boolean): DirectoryEntry {
  return { name, isDirectory, sizeBytes: 0, modifiedAt: new Date(0) };
}

test('every child is listed once, whatever the page size and the order inside a page', () => {
  fc.assert(
    fc.property(names, fc.integer({ min: 1, max: 6 }), fc.boolean(), (all, pageSize, reversed) => {
      const items = [...new Set(all.map((name) => (name.includes('/') ? `${name.split('/')[0]}/` : name)))].sort();
      const pages = new DirectoryPages();
      const listed: string[] = [];
      for (let start = 0; start < items.length; start += pageSize) {
        const page = items.slice(start, start + pageSize);
        if (reversed) page.reverse();
        const blobs = page.filter((item) => !item.endsWith('/')).map((name) => entry(name, false));
        const prefixes = page.filter((item) => item.endsWith('/')).map((item) => item.slice(0, -1));
        listed.push(...pages.next({ blobs, prefixes }).map(({ name }) => name));
      }
      const expected = [...new Set(items.map((item) => item.replace(/\/$/, '')))].filter(isEntryName);
      assert.deepEqual(listed.sort(), expected.sort());
    }),
    { numRuns: 500 },
  );
});

test('a marker says that it is a directory, and its prefix adds nothing', () => {
  const pages = new DirectoryPages();
  assert.deepEqual(pages.next({ blobs: [entry('x', true)], prefixes: ['x'] }), [entry('x', true)]);
});

test('names that no path can have are left out and counted', () => {
  const pages = new DirectoryPages();
  const listed = pages.next({ blobs: [entry('ok', false), entry('a\\b', false), entry('dot.', false), entry('', false)], prefixes: ['..', 'tab\t'] });
  assert.deepEqual([listed.map(({ name }) => name), pages.skipped], [['ok'], 5]);
});
