import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';
import { DeadlineError, pause, sleep, withDeadline } from './abort.ts';

describe('sleep', () => {
  it('ends at once with the reason when the signal aborts, also when it has before', async () => {
    const controller = new AbortController();
    const sleeping = sleep(60_000, controller.signal);
    controller.abort(new Error('enough'));
    await assert.rejects(sleeping, /enough/);
    await assert.rejects(sleep(60_000, controller.signal), /enough/);
  });

  it('leaves no listener behind', async () => {
    const { signal } = new AbortController();
    for (let round = 0; round < 3; round++) await sleep(1, signal);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });
});

describe('pause', () => {
  it('ends without an error when the time is over and when the signal aborts, also when it has before', async () => {
    const controller = new AbortController();
    await pause(1, controller.signal);
    const pausing = pause(60_000, controller.signal);
    controller.abort(new Error('enough'));
    await pausing;
    await pause(60_000, controller.signal);
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  });
});

describe('withDeadline', () => {
  it('gives the result, or the error, of work that is done in time', async () => {
    assert.equal(await withDeadline({ timeoutMs: 1000 }, () => Promise.resolve(7)), 7);
    await assert.rejects(
      withDeadline({ timeoutMs: 1000 }, () => Promise.reject(new Error('own'))),
      /own/,
    );
  });

  it('aborts the work and rejects at the deadline, even when the work does not heed it', async () => {
    let seen: AbortSignal | undefined;
    const stubborn = (signal: AbortSignal): Promise<never> => {
      seen = signal;
      return new Promise(() => {});
    };
    await assert.rejects(withDeadline({ timeoutMs: 5 }, stubborn), DeadlineError);
    assert.ok(seen?.aborted);
  });

  it("rejects with the reason of the caller's signal and detaches from it", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    await withDeadline({ timeoutMs: 1000, signal }, () => Promise.resolve());
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    const working = withDeadline({ timeoutMs: 60_000, signal }, () => new Promise(() => {}));
    controller.abort(new Error('enough'));
    await assert.rejects(working, /enough/);
    await assert.rejects(
      withDeadline({ timeoutMs: 1000, signal }, () => Promise.resolve()),
      /enough/,
    );
  });
});
