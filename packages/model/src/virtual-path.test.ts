import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { USERNAME_PATTERN } from './resources/sftp-user.ts';
import {
  baseName,
  childPath,
  isWithin,
  MAX_BLOB_NAME_LENGTH,
  MAX_PATH_BYTES,
  MAX_SEGMENT_BYTES,
  MAX_SEGMENTS,
  PathError,
  type PathErrorReason,
  parentPath,
  parseVirtualPath,
  ROOT_PATH,
  toBlobName,
  toJail,
} from './virtual-path.ts';

const HOSTILE = [
  '..',
  '.',
  '...',
  '',
  '%2e%2e',
  '%2f',
  '..%2f',
  '\0',
  '\\',
  '..\\',
  'a\\..\\b',
  '~',
  '~root',
  'C:',
  ' ',
  '. .',
  '.. ',
  ' ..',
  '\u2024\u2024',
  '\uff0e\uff0e',
  '\u2215',
  '\uff0f',
  '\u202e',
  'é',
  'e\u0301',
  '\ud800',
  '\ufeff',
  '\u0085',
  '\n',
  'a.',
  'con',
  '*',
  '?',
  '😀',
  'ann',
  'anna',
  'a'.repeat(255),
  'ä'.repeat(128),
  'x'.repeat(4096),
];

const piece = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...HOSTILE) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 6 }) },
  { weight: 1, arbitrary: fc.constantFrom('in', 'out', 'x.csv') },
);
const rawText = fc
  .tuple(fc.constantFrom('', '/', '//', '../'), fc.array(piece, { maxLength: 8 }), fc.constantFrom('/', '//', '/./', '/../'))
  .map(([head, pieces, separator]) => head + pieces.join(separator));
const rawBytes = fc.oneof(
  rawText.map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
  fc
    .tuple(rawText, fc.uint8Array({ minLength: 1, maxLength: 3 }))
    .map(([text, bytes]) => Buffer.concat([Buffer.from(text), Buffer.from('/'), Buffer.from(bytes)])),
);

/** What a kernel would resolve in a chroot, kept apart from the code under test. */
function resolveInChroot(text: string): string {
  const done: string[] = [];
  for (const name of text.split('/')) {
    if (name === '..') done.pop();
    else if (name !== '' && name !== '.') done.push(name);
  }
  return `/${done.join('/')}`;
}

function attempt<Result>(work: () => Result): Result | undefined {
  try {
    return work();
  } catch (error) {
    assert.ok(error instanceof PathError, String(error));
    return undefined;
  }
}

function codeOf(work: () => unknown): PathErrorReason | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof PathError) return error.code;
    throw error;
  }
}

describe('virtual path', () => {
  it('never leaves the jail, over 20,000 hostile paths', () => {
    const jail = toJail('in', 'team/ann');
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(rawText, rawBytes), (raw) => {
        const path = attempt(() => parseVirtualPath(raw));
        if (path === undefined) return;
        const name = attempt(() => toBlobName(jail, path));
        if (name === undefined) return;
        accepted++;
        assert.ok(name === 'in/team/ann' || name.startsWith('in/team/ann/'), name);
        const segments = name.split('/');
        assert.ok(!segments.some((segment) => segment === '' || segment === '.' || segment === '..' || segment.endsWith('.')), name);
        assert.ok(name.isWellFormed() && !/[\u0000-\u001f\u007f-\u009f\\]/u.test(name), JSON.stringify(name));
        // What a store or a proxy may do to a name: none of it moves it elsewhere.
        assert.equal(
          new URL(`https://store.example/c/${segments.map(encodeURIComponent).join('/')}`).pathname,
          `/c/${segments.map(encodeURIComponent).join('/')}`,
        );
      }),
      { numRuns: 20_000 },
    );
    assert.ok(accepted > 2000, `only ${accepted} paths were accepted: the property says too little`);
  });

  it('resolves as a chroot does, and resolving again changes nothing', () => {
    fc.assert(
      fc.property(rawText, (raw) => {
        const path = attempt(() => parseVirtualPath(raw));
        if (path === undefined) return;
        assert.equal(path, resolveInChroot(raw));
        assert.equal(parseVirtualPath(path), path);
        assert.equal(parseVirtualPath(Buffer.from(path)), path);
      }),
      { numRuns: 5000 },
    );
  });

  it('maps two paths to one blob only when they are the same path', () => {
    const jail = toJail('', 'h');
    fc.assert(
      fc.property(rawText, rawText, (left, right) => {
        const [a, b] = [left, right].map((raw) => attempt(() => parseVirtualPath(raw)));
        if (a === undefined || b === undefined) return;
        const [x, y] = [attempt(() => toBlobName(jail, a)), attempt(() => toBlobName(jail, b))];
        assert.equal(x === y, a === b || (x === undefined && y === undefined));
      }),
    );
    assert.notEqual(parseVirtualPath('/\u00e9'), parseVirtualPath('/e\u0301'));
    assert.notEqual(parseVirtualPath('/A'), parseVirtualPath('/a'));
    assert.equal(parseVirtualPath('/%2e%2e/x'), '/%2e%2e/x');
  });

  it('refuses what has no place in a name, and says which kind of wrong it is', () => {
    const cases: readonly [string | Uint8Array, PathErrorReason][] = [
      ['/a\0b', 'ForbiddenCharacter'],
      ['/a\\b', 'ForbiddenCharacter'],
      ['/a\nb', 'ForbiddenCharacter'],
      ['/a\u0085', 'ForbiddenCharacter'],
      ['/\ud800', 'InvalidUtf8'],
      [Buffer.from([0x2f, 0xff]), 'InvalidUtf8'],
      [Buffer.from([0x2f, 0xc0, 0xae, 0xc0, 0xae]), 'InvalidUtf8'],
      [Buffer.from([0x2f, 0xed, 0xa0, 0x80]), 'InvalidUtf8'],
      ['/a.', 'ForbiddenName'],
      ['/.../a', 'ForbiddenName'],
      [`/${'a'.repeat(MAX_SEGMENT_BYTES + 1)}`, 'TooLong'],
      [`/${'ä'.repeat(128)}`, 'TooLong'],
      ['/a'.repeat(MAX_SEGMENTS + 1), 'TooDeep'],
      ['/abc'.repeat(MAX_PATH_BYTES / 4 + 1), 'TooLong'],
    ];
    for (const [raw, code] of cases)
      assert.equal(
        codeOf(() => parseVirtualPath(raw)),
        code,
        JSON.stringify(String(raw).slice(0, 40)),
      );
    assert.equal(
      codeOf(() => parseVirtualPath(`/${'a'.repeat(MAX_SEGMENT_BYTES)}`)),
      undefined,
    );
    assert.equal(
      codeOf(() => parseVirtualPath('/a'.repeat(MAX_SEGMENTS))),
      undefined,
    );
  });

  it('refuses a name even where ".." would take it away again', () => {
    assert.equal(
      codeOf(() => parseVirtualPath('/a./../b')),
      'ForbiddenName',
    );
  });

  it('does not take a neighbour with the same beginning for a part of it', () => {
    const [ann, anna] = [parseVirtualPath('/ann'), parseVirtualPath('/anna')];
    assert.ok(!isWithin(anna, ann) && !isWithin(parseVirtualPath('/anna/x'), ann));
    assert.ok(isWithin(ann, ann) && isWithin(parseVirtualPath('/ann/x'), ann) && isWithin(anna, ROOT_PATH));
    fc.assert(
      fc.property(rawText, rawText, (left, right) => {
        const [path, ancestor] = [left, right].map((raw) => attempt(() => parseVirtualPath(raw)));
        if (path === undefined || ancestor === undefined) return;
        const [inner, outer] = [path, ancestor].map((text) => text.split('/').filter(Boolean));
        assert.equal(
          isWithin(path, ancestor),
          (outer ?? []).every((name, index) => inner?.[index] === name),
        );
      }),
    );
  });

  it('comes apart into parent and name and back', () => {
    fc.assert(
      fc.property(rawText, (raw) => {
        const path = attempt(() => parseVirtualPath(raw));
        if (path === undefined || path === ROOT_PATH) return;
        assert.equal(childPath(parentPath(path), baseName(path)), path);
      }),
    );
    assert.deepEqual([parentPath(ROOT_PATH), baseName(ROOT_PATH), parentPath(parseVirtualPath('/a'))], ['/', '/', '/']);
  });

  it('joins only single names to a directory', () => {
    const directory = parseVirtualPath('/a');
    for (const name of ['..', '.', '', 'b/c', '/b', '../x', 'b/', '\0', 'x.']) assert.ok(codeOf(() => childPath(directory, name)) !== undefined, name);
    assert.equal(childPath(ROOT_PATH, 'b'), '/b');
  });
});

describe('jail', () => {
  const username = fc.stringMatching(new RegExp(USERNAME_PATTERN));

  it('of any legal username is one directory of its own below the prefix', () => {
    fc.assert(
      fc.property(username, username, (left, right) => {
        const [a, b] = [toJail('in', left), toJail('in', right)];
        assert.equal(a, `in/${left}`);
        if (left !== right) assert.ok(a !== b && !`${a}/`.startsWith(`${b}/`) && !`${b}/`.startsWith(`${a}/`));
      }),
    );
  });

  it('is not to be had by a hostile username', () => {
    const pattern = new RegExp(USERNAME_PATTERN);
    for (const name of ['..', '.', '', '../anna', 'a/b', 'a\\b', 'a\0', 'anna.', '-rf', ' anna', 'änna', 'a\n', '~', '%2e', 'a'.repeat(65)])
      assert.ok(!pattern.test(name), JSON.stringify(name));
    for (const name of ['a', 'anna', 'anna@contoso.com', 'a.b', 'a-b', '_svc', '4711', 'a'.repeat(64)]) assert.ok(pattern.test(name), name);
  });

  it('never climbs, whatever prefix and home say', () => {
    for (const [prefix, home] of [
      ['in', '../x'],
      ['in', 'a/../b'],
      ['..', 'a'],
      ['in/..', 'a'],
      ['in', '..'],
    ] as const)
      assert.equal(
        codeOf(() => toJail(prefix, home)),
        'ForbiddenName',
        `${prefix} ${home}`,
      );
    fc.assert(
      fc.property(rawText, (home) => {
        const jail = attempt(() => toJail('in', home));
        assert.ok(jail === undefined || jail === 'in' || jail.startsWith('in/'), jail);
        assert.ok(jail === undefined || !jail.split('/').some((segment) => segment === '..' || segment === '.'));
      }),
    );
  });

  it('and path together stay within what a blob name may have', () => {
    const jail = toJail('', 'h'.repeat(200));
    const fits = parseVirtualPath(`/${'a'.repeat(250)}/${'b'.repeat(250)}/${'c'.repeat(250)}/${'d'.repeat(MAX_BLOB_NAME_LENGTH - 200 - 4 - 750)}`);
    assert.equal(toBlobName(jail, fits).length, MAX_BLOB_NAME_LENGTH);
    assert.equal(
      codeOf(() => toBlobName(jail, parseVirtualPath(`${fits}x`))),
      'TooLong',
    );
  });

  it('at the root of the container maps / to the empty name', () => {
    assert.equal(toBlobName(toJail('', '/'), ROOT_PATH), '');
    assert.equal(toBlobName(toJail('', ''), parseVirtualPath('/a/b')), 'a/b');
  });
});
