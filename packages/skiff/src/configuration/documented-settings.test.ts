import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { HELP } from '../help.ts';

const SOURCES = join(import.meta.dirname, '..');
const REFERENCE = readFileSync(join(import.meta.dirname, '../../../../docs/reference/configuration.md'), 'utf8');
const NAME = /\b(?:(?:SKIFF|AZURE|NODE|KUBERNETES)_[A-Z_]*[A-Z]|KUBECONFIG)\b/g;
/** Read by `DefaultAzureCredential`, not by the program. */
const READ_BY_OTHERS = ['AZURE_FEDERATED_TOKEN_FILE'];

const code = globSync('**/*.ts', { cwd: SOURCES, exclude: ['**/*.test.ts', 'help.ts'] })
  .map((path) => readFileSync(join(SOURCES, path), 'utf8'))
  .join('\n');
const read = unique([...code.matchAll(/'([A-Z]+(?:_[A-Z]+)*)'/g)].map((match) => match[1] ?? '').filter((name) => name.search(NAME) === 0));

/** Of each row of the reference's tables, by name. */
const rows = new Map(
  [...REFERENCE.matchAll(/^\| `([A-Z_]+)`\s*\|([^|]*)\|([^|]*)\|$/gm)].map(([, name = '', preset = '', meaning = '']) => [
    name,
    { preset: preset.trim(), meaning },
  ]),
);

function unique(names: readonly string[]): readonly string[] {
  return [...new Set(names)].toSorted();
}

describe('settings', () => {
  it('that are read stand in the reference, and no others', () => {
    assert.ok(read.length > 20, 'the search finds what is read');
    assert.deepEqual([...rows.keys()].toSorted(), [...read, ...READ_BY_OTHERS].toSorted());
  });

  it('that are read and not set by Kubernetes stand in the help, and no others', () => {
    const expected = [...read, ...READ_BY_OTHERS].filter((name) => !name.startsWith('KUBERNETES_')).toSorted();
    assert.deepEqual(unique(HELP.match(NAME) ?? []), expected);
  });

  it('that are whole numbers have in the reference the default and the range of the code', () => {
    const integers = [...code.matchAll(/\.integer\('([A-Z_]+)', ([\d_]+), \{ min: ([\d_]+), max: ([\d_]+) \}\)/g)];
    assert.ok(integers.length >= 5);
    for (const [, name = '', ...numbers] of integers) {
      const [preset, min, max] = numbers.map((number) => number.replaceAll('_', ''));
      assert.equal(rows.get(name)?.preset, `\`${preset}\``, name);
      assert.match(rows.get(name)?.meaning ?? '', new RegExp(`\\b${min} to ${max}\\b`), name);
    }
  });

  it('that have a fixed set of values show in the reference all of them and the default', () => {
    const choices = [...code.matchAll(/\.oneOf\('([A-Z_]+)', \[([^\]]*)\], '(\w+)'\)/g)];
    assert.ok(choices.length >= 2);
    for (const [, name = '', list = '', preset = ''] of choices) {
      assert.equal(rows.get(name)?.preset, `\`${preset}\``, name);
      for (const [, choice = ''] of list.matchAll(/'(\w+)'/g)) assert.ok(rows.get(name)?.meaning.includes(`\`${choice}\``), `${name}: ${choice}`);
    }
  });
});
