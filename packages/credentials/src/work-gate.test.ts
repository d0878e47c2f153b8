import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WorkGate, WorkGateFullError } from './work-gate.ts';

describe('WorkGate', () => {
  it('runs no more than its number at a time, in order, and refuses what its queue does not hold', async () => {
    const gate = new WorkGate({ concurrency: 2, maxQueued: 3 });
    const releases: (() => void)[] = [];
    const started: number[] = [];
    const job = (id: number) => () => {
      started.push(id);
      return new Promise<number>((resolve) => releases.push(() => resolve(id)));
    };
    const jobs = [0, 1, 2, 3, 4].map((id) => gate.run(job(id)));
    await assert.rejects(gate.run(job(5)), WorkGateFullError);
    assert.deepEqual(started, [0, 1]);
    for (let index = 0; index < 5; index++) {
      releases[index]?.();
      await jobs[index];
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(started, [0, 1, 2, 3, 4]);
    assert.deepEqual(await Promise.all(jobs), [0, 1, 2, 3, 4]);
  });

  it('gives the place of a job that failed to the next one', async () => {
    const gate = new WorkGate({ concurrency: 1, maxQueued: 1 });
    const failing = gate.run(() => Promise.reject(new Error('no')));
    const next = gate.run(() => Promise.resolve('done'));
    await assert.rejects(failing, /no/);
    assert.equal(await next, 'done');
    assert.equal(await gate.run(() => Promise.resolve('again')), 'again');
  });
});
