import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');
const dockerfile = readFileSync(join(ROOT, 'deploy/image/Dockerfile'), 'utf8');
const flags = readFileSync(join(ROOT, 'packages/skiff/node-flags'), 'utf8').split('\n').filter(Boolean);

describe('the image', () => {
  it('starts Node with the flags of packages/skiff/node-flags', () => {
    const entrypoint: unknown = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? '');
    assert.deepEqual(entrypoint, ['/usr/local/bin/node', ...flags, '/opt/skiff/main.js']);
  });

  it('compiles its code with the same flags, since V8 refuses code compiled with others', () => {
    assert.ok(dockerfile.includes(`RUN /opt/node/node ${flags.join(' ')} /opt/skiff/main.js self-check`));
  });

  it('runs as a user that is no root, by number', () => {
    assert.match(dockerfile, /^USER (?!0\b)\d+:\d+$/m);
  });
});
