import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { CONDITION_REASONS, CONDITION_TYPES } from '@skiff/model/condition';
import { ROOT } from './documents.ts';

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const table = /^\| Reason .*\n\| -.*\n((?:\|.*\n)+)/m.exec(readme)?.[1] ?? '';
const explained = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(([, cell = '']) => [...cell.matchAll(/`(\w+)`/g)].map(([, reason = '']) => reason));
/** Reasons of conditions that are well are called as their type. */
const troubles = CONDITION_REASONS.filter((reason) => !CONDITION_TYPES.some((type) => type === reason));

describe('troubleshooting in the README', () => {
  it('has each reason of a condition once, and no others', () => {
    assert.deepEqual([...explained].sort(), [...troubles].sort());
  });

  it('has each type of a condition', () => {
    for (const type of CONDITION_TYPES) assert.ok(readme.includes(`\`${type}\``), type);
  });

  it('is about reasons that the program gives', () => {
    const sources = globSync('packages/{policy,operator,skiff}/src/**/*.ts', { cwd: ROOT, exclude: ['**/*.test.ts', '**/testing/**'] });
    const code = sources.map((path) => readFileSync(join(ROOT, path), 'utf8')).join('\n');
    const given = troubles.filter((reason) => new RegExp(`(reason: |return |\\? |: )'${reason}'`).test(code));
    assert.deepEqual(given, troubles);
  });
});
