import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { translateDocuments } from '../testing/translate-documents.ts';

const folder = new URL('./golden/', import.meta.url);

const translate = (text: string) => translateDocuments(parseAllDocuments(text).map((document) => document.toJS()));

describe('translation of users and routes', () => {
  const inputs = readdirSync(folder).filter((name) => name.endsWith('.in.yaml'));
  assert.ok(inputs.length >= 10);
  for (const input of inputs) {
    it(`of ${input} gives what its .out.yaml says`, () => {
      const output = new URL(input.replace('.in.yaml', '.out.yaml'), folder);
      const actual = stringify(translate(readFileSync(new URL(input, folder), 'utf8')), { lineWidth: 0, aliasDuplicateObjects: false });
      if (process.env.UPDATE_GOLDEN === '1') writeFileSync(output, actual);
      assert.ok(existsSync(output), 'no golden file: run once with UPDATE_GOLDEN=1 and read what it wrote');
      assert.deepEqual(parse(actual), parse(readFileSync(output, 'utf8')));
    });
  }

  it('does not depend on the order of its input', () => {
    const text = readFileSync(new URL('username-conflict.in.yaml', folder), 'utf8');
    const reversed = text.split('\n---\n').toReversed().join('\n---\n');
    assert.deepEqual(translate(reversed), translate(text));
  });
});
