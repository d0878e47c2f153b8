import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

const root = join(import.meta.dirname, '..');
const copy = mkdtempSync(join(tmpdir(), 'skiff-generate-'));
after(() => rmSync(copy, { recursive: true }));
for (const path of ['tools/generate.ts', 'crds', 'docs/reference', 'package.json']) cpSync(join(root, path), join(copy, path), { recursive: true });
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));

function generate(...args: readonly string[]): { readonly status: number | null; readonly output: string } {
  const child = spawnSync(process.execPath, [join(copy, 'tools/generate.ts'), ...args], { encoding: 'utf8', timeout: 60_000 });
  return { status: child.status, output: child.stdout + child.stderr };
}

describe('generate', () => {
  it('finds no drift in the committed files', () => {
    assert.deepEqual(generate('--check'), { status: 0, output: '' });
  });

  it('fails on a file that was edited, on one too many and on one missing, and mends them', () => {
    appendFileSync(join(copy, 'crds/skiff.dev_sftpusers.yaml'), '# edited\n');
    writeFileSync(join(copy, 'crds/skiff.dev_old.yaml'), '');
    rmSync(join(copy, 'docs/reference/resources.md'));
    const checked = generate('--check');
    assert.equal(checked.status, 1);
    for (const path of ['crds/skiff.dev_sftpusers.yaml', 'crds/skiff.dev_old.yaml', 'docs/reference/resources.md'])
      assert.ok(checked.output.includes(`${path} differs`), path);
    assert.equal(generate().status, 0);
    assert.deepEqual(generate('--check'), { status: 0, output: '' });
  });

  it('says in the first line of each file that it is generated', () => {
    for (const path of ['crds/skiff.dev_sftpusers.yaml', 'docs/reference/resources.md'])
      assert.match(readFileSync(join(root, path), 'utf8').split('\n')[0] ?? '', /Generated .* Do not edit\./);
  });
});
