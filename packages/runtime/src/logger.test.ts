import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';

/** The log goes to a file descriptor, so it is read from outside. */
function linesOf(body: string, stream: 'stdout' | 'stderr' = 'stdout'): readonly Record<string, unknown>[] {
  const url = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href);
  const script = `import { createLogger } from ${url('./logger.ts')}; import { Secret } from ${url('./secret.ts')}; ${body}`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 20_000 });
  return child[stream]
    .split('\n')
    .filter(Boolean)
    .map((line): Record<string, unknown> => JSON.parse(line));
}

describe('logger', () => {
  it('writes JSON lines with level names, ISO times, a constant message and fields', () => {
    const [line, ...rest] = linesOf(`createLogger({ level: 'info', name: 'x' }).child({ endpoint: 'e' }).info({ port: 22 }, 'listening')`);
    assert.equal(rest.length, 0);
    assert.deepEqual({ ...line, time: typeof line?.time }, { level: 'info', time: 'string', name: 'x', endpoint: 'e', port: 22, msg: 'listening' });
    assert.ok(!Number.isNaN(Date.parse(String(line?.time))));
  });

  it('leaves out what is below its level, and can write to standard error', () => {
    const body = `const log = createLogger({ level: 'warn', name: 'x', stream: 'stderr' }); log.info({}, 'no'); log.error({ err: new Error('bad') }, 'yes')`;
    assert.deepEqual(linesOf(body), []);
    const [line] = linesOf(body, 'stderr');
    assert.equal(line?.msg, 'yes');
    assert.match(JSON.stringify(line?.err), /bad.*stack/);
  });

  it('shows no secret, neither wrapped nor by its usual names', () => {
    const text = JSON.stringify(
      linesOf(`createLogger({ level: 'info', name: 'x' }).info({ a: new Secret('hunter2'), password: 'hunter2', b: { token: 'hunter2' } }, 'm')`),
    );
    assert.ok(text.includes('[redacted]') && !text.includes('hunter2'), text);
  });
});
