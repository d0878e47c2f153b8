import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { describe, it } from 'node:test';
import { silentLogger } from './logger.ts';
import { installShutdown, type ShutdownProcess } from './shutdown.ts';

class FakeProcess extends EventEmitter implements ShutdownProcess {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

function rig(deadlineMs = 1000) {
  const fake = new FakeProcess();
  return { fake, shutdown: installShutdown({ logger: silentLogger, deadlineMs, process: fake }) };
}

describe('shutdown', () => {
  it('stops on SIGTERM what was started last first, one after the other', async () => {
    const { fake, shutdown } = rig();
    const order: string[] = [];
    for (const name of ['database', 'store', 'listener']) {
      shutdown.onStop(name, async () => {
        await new Promise((resolve) => setTimeout(resolve, 2));
        order.push(name);
      });
    }
    fake.emit('SIGTERM', 'SIGTERM');
    assert.ok(shutdown.signal.aborted);
    assert.equal(await shutdown.done, 0);
    assert.deepEqual(order, ['listener', 'store', 'database']);
  });

  it('goes on after a step that fails or hangs, and ends with 1', async () => {
    const { shutdown } = rig(20);
    const order: string[] = [];
    shutdown.onStop('first', () => {
      order.push('first');
      return Promise.resolve();
    });
    shutdown.onStop('hangs', (signal) => {
      signal.addEventListener('abort', () => order.push('aborted'));
      return new Promise(() => {});
    });
    shutdown.onStop('fails', () => Promise.reject(new Error('x')));
    shutdown.request('test');
    assert.equal(await shutdown.done, 1);
    assert.deepEqual(order, ['aborted', 'first']);
  });

  it('ends at once when it is told a second time', () => {
    const { fake, shutdown } = rig();
    shutdown.onStop('slow', () => new Promise((resolve) => setTimeout(resolve, 5)));
    fake.emit('SIGTERM', 'SIGTERM');
    fake.emit('SIGINT', 'SIGINT');
    assert.deepEqual(fake.exits, [1]);
  });

  it('ends with 1 after an uncaught error, even when it happens on the way down', async () => {
    const { fake, shutdown } = rig();
    shutdown.onStop('step', async () => {
      await Promise.resolve();
      fake.emit('unhandledRejection', new Error('late'));
    });
    fake.emit('SIGTERM', 'SIGTERM');
    assert.equal(await shutdown.done, 1);
    assert.deepEqual(fake.exits, []);
  });

  it('catches what a real process throws, drains and exits with 1', async () => {
    const script = `
      import { installShutdown } from ${JSON.stringify(new URL('./shutdown.ts', import.meta.url).href)};
      import { silentLogger } from ${JSON.stringify(new URL('./logger.ts', import.meta.url).href)};
      const shutdown = installShutdown({ logger: silentLogger, deadlineMs: 1000 });
      const timer = setInterval(() => {}, 1000);
      shutdown.onStop('timer', async () => { clearInterval(timer); console.log('drained'); });
      shutdown.done.then((code) => process.exit(code));
      setTimeout(() => { throw new Error('bug'); }, 1);
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'], timeout: 20_000 });
    child.on('error', assert.fail);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    assert.deepEqual(await once(child, 'close'), [1, null]);
    assert.equal(output, 'drained\n');
  });
});
