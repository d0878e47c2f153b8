import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
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
  /** Node prints the flags it was started with when a worker of the program is asked for them; here, the program's own command line. */
  function flagsSeen(...args: readonly string[]): readonly string[] {
    const probe = `data:text/javascript,process.on('exit',()=>process.stdout.write('\\n'+JSON.stringify(process.execArgv)))`;
    const options = { encoding: 'utf8', timeout: 60_000, env: { ...process.env, NODE_OPTIONS: `--import=${probe}` } } as const;
    const lines = execFileSync(process.execPath, [join(ROOT, 'packages/skiff/src/launch.ts'), ...args], options).split('\n');
    const seen: unknown = JSON.parse(lines.at(-1) ?? '');
    return Array.isArray(seen) ? seen.map(String) : [];
  }

  it('becomes the program with the flags of its mode', () => {
    assert.deepEqual(flagsSeen('version'), ['--initial-old-space-size=1024', '--max-semi-space-size=8']);
    assert.deepEqual(flagsSeen('operator', '--help'), ['--max-semi-space-size=8']);
    assert.deepEqual(flagsSeen('self-check', 'router'), ['--max-semi-space-size=1']);
    assert.deepEqual(flagsSeen('sftp-server', '--help'), nodeFlagsOf('sftp-server'));
  });
});
