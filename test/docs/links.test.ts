import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { documents, ROOT } from './documents.ts';

interface Link {
  readonly from: string;
  readonly target: string;
}

const links: readonly Link[] = documents().flatMap(({ path, text }) =>
  [...text.replace(/^ *```[\s\S]*?^ *```/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({ from: path, target })),
);
const relative = links.filter(({ target }) => !/^[a-z]+:/.test(target));

/** As GitHub makes them of headings. */
function anchorsOf(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );
}

describe('the documents', () => {
  it('link to files that are there', () => {
    assert.ok(relative.length > 20);
    const broken = relative.filter(({ from, target }) => !existsSync(join(ROOT, dirname(from), target.replace(/#.*/, ''))));
    assert.deepEqual(broken, []);
  });

  it('link to headings that are there', () => {
    const toHeadings = relative.filter(({ target }) => target.includes('#'));
    assert.ok(toHeadings.length > 0);
    for (const { from, target } of toHeadings) {
      const [file = '', anchor = ''] = target.split('#');
      const path = join(ROOT, file === '' ? from : join(dirname(from), file));
      assert.ok(anchorsOf(readFileSync(path, 'utf8')).includes(anchor), `${from}: ${target}`);
    }
  });

  it('name files and folders of the checkout that are there', () => {
    const named = documents().flatMap(({ path, text }) =>
      [...text.matchAll(/`((?:packages|test|tools|deploy|docs|charts|crds|\.ci)\/[\w./-]*\w)`/g)].map(([, target = '']) => ({ from: path, target })),
    );
    assert.ok(named.length > 10);
    assert.deepEqual(
      named.filter(({ target }) => statSync(join(ROOT, target), { throwIfNoEntry: false }) === undefined),
      [],
    );
  });
});
