import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BoundedTasks } from './bounded-tasks.ts';

test('no more tasks run at a time than may, each starts once there is room, and idle waits for the last', async () => {
  const tasks = new BoundedTasks(3);
  let [running, most, ended] = [0, 0, 0];
  for (let index = 0; index < 20; index++) {
    await tasks.start(async () => {
      most = Math.max(most, ++running);
      await sleep(index % 4);
      running--;
      ended++;
    });
  }
  assert.ok(ended >= 17, `${ended} have ended before the last one started`);
  await tasks.idle();
  assert.deepEqual([most, running, ended], [3, 0, 20]);
  await tasks.idle();
});
