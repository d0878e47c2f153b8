import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isPermitted, PERMISSIONS, type PermissionRule } from './permission.ts';
import { parseVirtualPath } from './virtual-path.ts';

const rules: readonly PermissionRule[] = [
  { path: '/', allow: ['List'] },
  { path: '/in', allow: ['List', 'Write'] },
  { path: '/in/done', allow: ['Read'] },
  { path: '/in/done/locked', allow: [] },
  { path: '/out/', allow: ['Read', 'Delete'] },
];

describe('permissions', () => {
  // Path → exactly what is allowed there.
  const table: readonly [string, readonly string[]][] = [
    ['/', ['List']],
    ['/x', ['List']],
    ['/inn', ['List']],
    ['/in', ['List', 'Write']],
    ['/in/a/b', ['List', 'Write']],
    ['/in/done', ['Read']],
    ['/in/done/x', ['Read']],
    ['/in/donex', ['List', 'Write']],
    ['/in/done/locked', []],
    ['/in/done/locked/x', []],
    ['/out', ['Read', 'Delete']],
    ['/out/x', ['Read', 'Delete']],
    ['/OUT/x', ['List']],
  ];
  for (const [path, expected] of table) {
    it(`on ${path} are ${expected.join(', ') || 'none'}`, () => {
      assert.deepEqual(
        PERMISSIONS.filter((permission) => isPermitted(rules, permission, parseVirtualPath(path))),
        expected,
      );
    });
  }

  it('are all there without rules, and none without a rule that matches', () => {
    assert.ok(PERMISSIONS.every((permission) => isPermitted(undefined, permission, parseVirtualPath('/x'))));
    assert.ok(PERMISSIONS.every((permission) => !isPermitted([], permission, parseVirtualPath('/x'))));
    assert.ok(PERMISSIONS.every((permission) => !isPermitted([{ path: '/in', allow: [...PERMISSIONS] }], permission, parseVirtualPath('/inn'))));
  });

  it('do not depend on the order of the rules', () => {
    const path = fc.constantFrom(...table.map(([text]) => parseVirtualPath(text)));
    fc.assert(
      fc.property(fc.shuffledSubarray([...rules], { minLength: rules.length }), fc.constantFrom(...PERMISSIONS), path, (shuffled, permission, at) => {
        assert.equal(isPermitted(shuffled, permission, at), isPermitted(rules, permission, at));
      }),
    );
  });

  it('of two rules for one directory written in two ways are those that both allow', () => {
    const twice: readonly PermissionRule[] = [
      { path: '/in', allow: ['Read', 'Write'] },
      { path: '/in/', allow: ['Read'] },
    ];
    for (const order of [twice, twice.toReversed()]) {
      assert.equal(isPermitted(order, 'Read', parseVirtualPath('/in/x')), true);
      assert.equal(isPermitted(order, 'Write', parseVirtualPath('/in/x')), false);
    }
  });
});
