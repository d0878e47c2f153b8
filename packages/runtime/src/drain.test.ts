import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Drain, DrainingError } from './drain.ts';

describe('Drain', () => {
  it('waits for what is under way and refuses what is new', async () => {
    const drain = new Drain();
    const work = Promise.withResolvers<string>();
    const running = drain.run(() => work.promise);
    const finished = drain.finish(5000);
    await assert.rejects(
      drain.run(() => Promise.resolve()),
      DrainingError,
    );
    assert.equal(drain.active, 1);
    work.resolve('done');
    assert.equal(await running, 'done');
    assert.equal(await finished, true);
  });

  it('says so when the time is over first', async () => {
    const drain = new Drain();
    const work = Promise.withResolvers<void>();
    const running = drain.run(() => work.promise);
    assert.equal(await drain.finish(5), false);
    work.resolve();
    await running;
    assert.equal(await drain.finish(5), true);
  });

  it('counts work that failed as done', async () => {
    const drain = new Drain();
    await assert.rejects(
      drain.run(() => Promise.reject(new Error('x'))),
      /x/,
    );
    assert.equal(await drain.finish(5), true);
  });
});
