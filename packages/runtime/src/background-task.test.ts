import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startBackgroundTask } from './background-task.ts';
import { type Logger, silentLogger } from './logger.ts';

describe('background task', () => {
  it('runs again and again until it is stopped, and stop waits for the round under way', async () => {
    let rounds = 0;
    let inside = false;
    const third = Promise.withResolvers<void>();
    const task = startBackgroundTask({
      name: 't',
      intervalMs: 1,
      logger: silentLogger,
      async run() {
        inside = true;
        if (++rounds === 3) third.resolve();
        await new Promise((resolve) => setTimeout(resolve, 2));
        inside = false;
      },
    });
    await third.promise;
    await task.stop();
    assert.equal(inside, false);
    const after = rounds;
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(rounds, after);
  });

  it('goes on after failures and logs only when the state changes', async () => {
    const lines: string[] = [];
    const logger: Logger = {
      ...silentLogger,
      warn: (_fields, message) => lines.push(`warn ${message}`),
      info: (_fields, message) => lines.push(`info ${message}`),
    };
    const recovered = Promise.withResolvers<void>();
    let rounds = 0;
    const task = startBackgroundTask({
      name: 't',
      intervalMs: 1,
      logger,
      async run() {
        await Promise.resolve();
        if (++rounds === 5) recovered.resolve();
        if (rounds < 4) throw new Error('away');
      },
    });
    await recovered.promise;
    await task.stop();
    assert.deepEqual(lines, ['warn background task failed, trying again', 'info background task works again']);
  });

  it('ends its pause and aborts its round when it is stopped', async () => {
    const started = Promise.withResolvers<void>();
    const hanging = startBackgroundTask({
      name: 't',
      intervalMs: 60_000,
      logger: silentLogger,
      run: (signal) => {
        started.resolve();
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      },
    });
    await started.promise;
    await hanging.stop();
    const pausing = startBackgroundTask({ name: 't', intervalMs: 60_000, logger: silentLogger, run: () => Promise.resolve() });
    await new Promise((resolve) => setImmediate(resolve));
    await pausing.stop();
  });
});
