import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FoundFile, type RenamedTree, renameProblems } from './renamed-tree.ts';

const tree: RenamedTree = {
  from: '/a',
  to: '/b',
  files: new Map([
    ['one', '1'],
    ['sub/two', '2'],
  ]),
  late: new Map([['late', '3']]),
  outcome: 'acknowledged',
};
const moved: readonly FoundFile[] = [
  { name: 'to', path: 'one', content: '1' },
  { name: 'to', path: 'sub/two', content: '2' },
  { name: 'from', path: 'late', content: '3' },
];

test('a renamed directory with all its files, once each, and one event has no problems', () => {
  assert.deepEqual(renameProblems(tree, moved, ['id', 'id']), []);
  const unmoved = moved.map((file) => ({ ...file, name: 'from' as const }));
  assert.deepEqual(renameProblems({ ...tree, outcome: 'refused' }, unmoved, []), []);
});

const BROKEN: Readonly<Record<string, readonly [Partial<RenamedTree>, readonly FoundFile[], readonly string[]]>> = {
  'a lost file': [{}, moved.slice(1), ['id']],
  'a doubled file': [{}, [...moved, { name: 'from', path: 'one', content: '1' }], ['id']],
  'another content': [{}, moved.with(0, { name: 'to', path: 'one', content: undefined }), ['id']],
  'a lost late upload': [{}, moved.slice(0, 2), ['id']],
  'one left behind': [{}, moved.with(0, { name: 'from', path: 'one', content: '1' }), ['id']],
  'a stranger': [{}, [...moved, { name: 'to', path: 'x', content: '1' }], ['id']],
  'no event': [{}, moved, []],
  'two events': [{}, moved, ['id', 'other']],
  'an acknowledged rename that did not happen': [{}, moved.map((file) => ({ ...file, name: 'from' as const })), []],
  'a refused one that did': [{ outcome: 'refused' }, moved, ['id']],
};
for (const [name, [change, found, events]] of Object.entries(BROKEN)) {
  test(`finds ${name}`, () => {
    assert.notDeepEqual(renameProblems({ ...tree, ...change }, found, events), []);
  });
}
