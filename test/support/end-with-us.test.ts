import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from './eventually.ts';

const PROGRAM = `
import { spawn } from 'node:child_process';
import { endWithUs } from ${JSON.stringify(join(import.meta.dirname, 'end-with-us.ts'))};
const child = spawn('sleep', ['300'], { stdio: 'ignore' });
endWithUs(() => child.kill('SIGKILL'));
process.stdout.write(String(child.pid));
`;

for (const signal of ['SIGTERM', undefined] as const) {
  test(`what a test file has started ends with it when ${signal === undefined ? 'an error ends it' : 'the test runner is ended'}`, async (t) => {
    const program = signal === undefined ? `${PROGRAM}; setTimeout(() => { throw new Error('by design'); }, 100);` : PROGRAM;
    const file = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, NODE_TEST_CONTEXT: 'child-v8' },
    });
    t.after(() => file.kill('SIGKILL'));
    const exited = once(file, 'exit');
    const [pid] = await once(file.stdout, 'data');
    assert.ok(existsSync(`/proc/${pid}`));
    if (signal !== undefined) file.kill(signal);
    await exited;
    await eventually('the end of what it has started', () => !existsSync(`/proc/${pid}`));
  });
}
