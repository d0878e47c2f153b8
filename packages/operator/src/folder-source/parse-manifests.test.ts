import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseManifests } from './parse-manifests.ts';

const SIGNAL = new AbortController().signal;

const USER = `apiVersion: skiff.dev/v1alpha1
kind: SftpUser
metadata: {name: alice}
spec:
  endpointRef: {name: main}
  username: alice
`;

test('documents of a file and items of a list are read, with the namespace filled in', async () => {
  const list = `---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: n}, stringData: {k: v}}\n`;
  const parsed = await parseManifests(`# comment\n---\n${USER}${list}`, SIGNAL);
  assert.deepEqual(parsed.problems, []);
  assert.deepEqual([...parsed.objects.keys()], ['SftpUser/default/alice', 'Secret/n/s']);
});

test('kinds that are none of ours are left out and named once', async () => {
  const parsed = await parseManifests('kind: ConfigMap\n---\nkind: ConfigMap\n---\nkind: Namespace\n', SIGNAL);
  assert.deepEqual(parsed, { objects: new Map(), problems: [], ignoredKinds: ['ConfigMap', 'Namespace'] });
});

test('a wrong field is reported at its line and column, and its neighbours count', async () => {
  const wrong = USER.replaceAll('alice', 'bob').replace('username: bob', 'username: bob\n  suspended: true');
  const parsed = await parseManifests(`${USER}---\n${wrong}`, SIGNAL);
  assert.deepEqual([...parsed.objects.keys()], ['SftpUser/default/alice']);
  const [problem] = parsed.problems;
  assert.deepEqual([problem?.ref, problem?.line, problem?.column], ['SftpUser/default/bob', 14, 3]);
  assert.match(problem?.message ?? '', /suspend/);
});

test('after a syntax error nothing of the file counts, and the error has its place', async () => {
  const parsed = await parseManifests(`${USER}---\nkind: SftpUser\nmetadata: {name: bob\nspec:\n`, SIGNAL);
  assert.equal(parsed.objects.size, 0);
  assert.equal(parsed.problems[0]?.ref, undefined);
  assert.ok((parsed.problems[0]?.line ?? 0) >= 8);
});

test('a problem never quotes the value of a Secret', async () => {
  const canary = 'canary-4711';
  const texts = [
    `kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData: {k: ${canary}\n`,
    `kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData:\n  k: "a" ${canary}\n`,
    `kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData:\n  k: v\n${canary}\n`,
    `kind: Secret\napiVersion: v1\nmetadata: {name: s}\ndata: {k: ${canary}!}\n`,
    `kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData: {k: [${canary}]}\n`,
    `kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData:\n  k: *${canary}\n`,
    `kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData:\n  k: !${canary} x\n`,
    `kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData:\n  k: "\\q${canary}"\n`,
    `kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData:\n  k: |9x${canary}\n  a\n`,
  ];
  for (const text of texts) {
    const parsed = await parseManifests(text, SIGNAL);
    assert.ok(parsed.problems.length > 0 || text.includes('!canary'), text);
    assert.ok(!JSON.stringify([parsed.problems, [...parsed.objects]]).includes(canary), `${text}\n${JSON.stringify(parsed.problems)}`);
  }
});

test('an alias bomb and a tower of brackets are refused', async () => {
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]', ...'bcdefgh'.split('').map((name, index) => `${name}: &${name} [${`*${'abcdefgh'[index]},`.repeat(9)}]`)].join(
    '\n',
  );
  for (const text of [bomb, '['.repeat(200_000), `${'{a: '.repeat(100_000)}`]) {
    const started = performance.now();
    const parsed = await parseManifests(text, SIGNAL);
    assert.equal(parsed.problems.length, 1);
    assert.ok(performance.now() - started < 10_000);
  }
});

test('no text makes the parser throw', async () => {
  const fragment = fc.constantFrom(
    'kind: Secret\n',
    'kind: SftpUser\n',
    '---\n',
    '- ',
    '{',
    '}',
    'a: ',
    '&x ',
    '*x',
    '"',
    '|\n',
    '\t',
    '!!map ',
    '%YAML 1.2\n',
    'items:\n',
    'kind: List\n',
    'metadata: {name: a}\n',
    'spec:\n',
    '? ',
    '<<: ',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(fragment, fc.string()), { maxLength: 30 }), async (parts) => {
      const parsed = await parseManifests(parts.join(''), SIGNAL);
      for (const problem of parsed.problems) assert.ok(problem.line >= 1 && problem.column >= 1 && problem.message !== '');
    }),
    { numRuns: 500 },
  );
});
