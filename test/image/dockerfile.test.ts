import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { MALLOC_SETTINGS } from '@skiff/skiff/malloc-settings';
import { nodeFlagsOf } from '@skiff/skiff/node-flags';

const ROOT = join(import.meta.dirname, '../..');
const dockerfile = readFileSync(join(ROOT, 'deploy/image/Dockerfile'), 'utf8');

describe('the image', () => {
  it('starts the launcher, which knows the flags of each mode', () => {
    const entrypoint: unknown = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? '');
    assert.deepEqual(entrypoint, ['/usr/local/bin/node', '/opt/skiff/launch.js']);
  });

  it('compiles its code with the flags of every mode, since V8 refuses code compiled with others', () => {
    for (const mode of ['', ' operator', ' router']) assert.match(dockerfile, new RegExp(`/opt/node/node /opt/skiff/launch\\.js self-check${mode}( |$)`, 'm'));
    assert.deepEqual(nodeFlagsOf('standalone'), nodeFlagsOf('sftp-server'));
  });

  it('has the program on its PATH, and tries it there', () => {
    assert.match(dockerfile, /^ENV PATH=\/opt\/skiff:/m);
    assert.match(dockerfile, /^RUN \["skiff", "self-check"\]$/m);
  });

  it('runs as a user that is no root, by number', () => {
    assert.match(dockerfile, /^USER (?!0\b)\d+:\d+$/m);
  });
});

describe('the launcher', () => {
  const { MALLOC_ARENA_MAX: _arenas, ...environment } = process.env;

  /** What the program, when it ends, says of how it was started. */
  function seen(expression: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): unknown {
    const probe = `data:text/javascript,process.on('exit',()=>process.stdout.write('\\n'+JSON.stringify(${expression})))`;
    const options = { encoding: 'utf8', timeout: 60_000, env: { ...environment, ...env, NODE_OPTIONS: `--import=${probe}` } } as const;
    const lines = execFileSync(process.execPath, [join(ROOT, 'packages/skiff/src/launch.ts'), ...args], options).split('\n');
    return JSON.parse(lines.at(-1) ?? '');
  }
  const flagsSeen = (...args: readonly string[]) => seen('process.execArgv', args);

  it('becomes the program with the flags of its mode', () => {
    assert.deepEqual(flagsSeen('version'), ['--initial-old-space-size=1024', '--max-semi-space-size=2']);
    assert.deepEqual(flagsSeen('operator', '--help'), ['--max-semi-space-size=8']);
    assert.deepEqual(flagsSeen('self-check', 'router'), ['--max-semi-space-size=1']);
    assert.deepEqual(flagsSeen('sftp-server', '--help'), nodeFlagsOf('sftp-server'));
  });

  it('gives the allocator its settings, where the environment does not say otherwise', () => {
    assert.equal(seen('process.env.MALLOC_ARENA_MAX', ['version']), MALLOC_SETTINGS.MALLOC_ARENA_MAX);
    assert.equal(seen('process.env.MALLOC_ARENA_MAX', ['version'], { MALLOC_ARENA_MAX: '1' }), '1');
  });
});
