import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkLayers } from './layers.ts';

function check(path: string, text: string): readonly string[] {
  return checkLayers([{ path, text }]).map((violation) => `${violation.line}: ${violation.message}`);
}

describe('layer check', () => {
  it('lets imports point downward, to Node and to the own package', () => {
    const text = `import { StoreError } from '@skiff/model/store-error';
import type { Secret } from '@skiff/runtime/secret';
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
export { a } from './a.ts';
import '../src/b.ts';`;
    assert.deepEqual(check('packages/storage/src/x.ts', text), []);
    assert.deepEqual(check('packages/skiff/src/x.ts', `import { a } from '@skiff/operator/a'; import { b } from '@skiff/router/b'; process.env.HOME;`), []);
  });

  const violations: readonly [string, string, string, RegExp][] = [
    [
      'an upward import',
      'packages/model/src/x.ts',
      `import { a } from '@skiff/policy/a';`,
      /^1: layer rule: model \(L0\) must not import policy \(L1\).*upward/,
    ],
    ['a sideways import', 'packages/policy/src/x.ts', `\n\nimport type { a } from '@skiff/runtime/a';`, /^3: layer rule: policy .* sideways/],
    ['a sideways import in L3', 'packages/router/src/x.test.ts', `export * from '@skiff/operator/a';`, /sideways/],
    ['a dynamic import upward', 'packages/database/src/x.ts', `const a = await import('@skiff/skiff/a');`, /upward/],
    ['an import without names', 'packages/database/src/x.ts', `import "@skiff/kube/a";`, /sideways/],
    ['require', 'packages/database/src/x.ts', `const a = require('@skiff/kube/a');`, /sideways/],
    ['an import over many lines', 'packages/kube/src/x.ts', `import {\n  a,\n} from '@skiff/storage/a';`, /^3: .*sideways/],
    [
      'a vendor in another package',
      'packages/operator/src/x.ts',
      `import { CoreV1Api } from '@kubernetes/client-node';`,
      /vendor rule: @kubernetes\/client-node is imported in packages\/kube only/,
    ],
    ["a vendor's subpath", 'packages/sftp-server/src/x.ts', `import mysql from 'mysql2/promise';`, /vendor rule: mysql2/],
    ['a relative import into another package', 'packages/router/src/a/x.ts', `import { a } from '../../../model/src/a.ts';`, /leaves the package/],
    ['a relative import without extension', 'packages/router/src/x.ts', `import { a } from './a';`, /needs its extension/],
    ['the own package by name', 'packages/model/src/x.ts', `import { a } from '@skiff/model/a';`, /relative path/],
    ['a package that is not there', 'packages/skiff/src/x.ts', `import { a } from '@skiff/modle/a';`, /there is no package/],
    ['the environment', 'packages/router/src/x.ts', `const a = 1;\nconst b = process.env.HOME;`, /^2: environment rule/],
    ['the environment by index', 'packages/router/src/x.ts', `const b = process['env'];`, /environment rule/],
    ['the environment in a template', 'packages/router/src/x.ts', 'const b = `home: $' + '{process.env.HOME}`;', /environment rule/],
    ['the environment by import', 'packages/router/src/x.ts', `import { env } from 'node:process';`, /environment rule/],
    ['a part for tests in production', 'packages/router/src/a/x.ts', `import { a } from '../testing/a.ts';`, /^1: test rule/],
    ['a fake in production', 'packages/router/src/x.ts', `import { a } from './a.fake.ts';`, /test rule/],
    ["another package's part for tests", 'packages/router/src/x.ts', `import { a } from '@skiff/database/testing';`, /test rule/],
    ["another package's contract suite", 'packages/skiff/src/x.ts', `import { a } from '@skiff/messaging/event-bus.contract';`, /test rule/],
    ["Node's test runner in production", 'packages/router/src/x.ts', `import { it } from 'node:test';`, /test rule/],
    ['a package without a layer', 'packages/extra/src/x.ts', '', /has no layer/],
  ];
  for (const [claim, path, text, message] of violations) {
    it(`fails on ${claim}`, () => {
      const found = check(path, text);
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0] ?? '', message);
    });
  }

  it('lets tests, contract suites and fakes import parts for tests', () => {
    const text = `import { it } from 'node:test'; import { a } from '@skiff/database/testing'; import { b } from './testing/b.ts'; import { c } from './c.fake.ts';`;
    for (const name of ['x.test.ts', 'x.contract.ts', 'x.fake.ts', 'testing/x.ts']) {
      assert.deepEqual(check(`packages/router/src/${name}`, text.replace('./testing/', name.startsWith('testing/') ? './' : './testing/')), []);
    }
  });

  it('reads neither comments nor templates as code', () => {
    const text =
      "// import { a } from '@skiff/skiff/a';\n/* process.env */\nconst script = `import x from '@skiff/skiff/x'; process.env`;\nconst url = 'http://x'; // process.env";
    assert.deepEqual(check('packages/model/src/x.ts', text), []);
  });

  it('does not bind tests that run the whole', () => {
    assert.deepEqual(check('test/e2e/x.test.ts', `import { a } from '@skiff/skiff/a'; process.env.HOME;`), []);
  });
});
