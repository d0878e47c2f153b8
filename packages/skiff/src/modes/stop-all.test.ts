import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@skiff/runtime/logger';
import { stopAll } from './stop-all.ts';

test('a part that fails to stop is told, and those after it are stopped all the same, in order', async () => {
  const stopped: string[] = [];
  const told: unknown[] = [];
  const logger = { ...silentLogger, error: (fields: object) => told.push(fields) };
  const failure = new Error('the bus is away');
  await stopAll(logger, [
    async () => {
      stopped.push('server');
      throw failure;
    },
    async () => {
      stopped.push('lease');
    },
  ]);
  assert.deepEqual(stopped, ['server', 'lease']);
  assert.deepEqual(told, [{ err: failure }]);
});
