import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import { TokenCache } from './token-cache.ts';

const HOUR_MS = 3600_000;

function setting() {
  const state = { now: 1_000_000, fetched: 0, failing: false };
  const credential = {
    getToken: async () => {
      state.fetched++;
      await new Promise((resolve) => setImmediate(resolve));
      if (state.failing) throw new Error('the token service is away');
      return { token: `t${state.fetched}`, expiresOnTimestamp: state.now + HOUR_MS };
    },
  };
  return { state, cache: new TokenCache(credential, () => state.now) };
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test('fetches one token for many callers', async () => {
  const { state, cache } = setting();
  const tokens = await Promise.all(Array.from({ length: 20 }, () => cache.get()));
  assert.deepEqual([new Set(tokens.map(({ token }) => token)), state.fetched], [new Set(['t1']), 1]);
});

test('renews ahead of expiry without making anybody wait', async () => {
  const { state, cache } = setting();
  await cache.get();
  state.now += HOUR_MS - 4 * 60_000;
  assert.equal((await cache.get()).token, 't1');
  await settle();
  assert.equal((await cache.get()).token, 't2');
  assert.equal(state.fetched, 2);
});

test('works on with a valid token while the token service is away, asking now and then', async () => {
  const { state, cache } = setting();
  await cache.get();
  state.failing = true;
  state.now += HOUR_MS - 4 * 60_000;
  for (let i = 0; i < 10; i++) {
    assert.equal((await cache.get()).token, 't1');
    await settle();
  }
  assert.equal(state.fetched, 2);
  state.now += 11_000;
  state.failing = false;
  await cache.get();
  await settle();
  assert.equal((await cache.get()).token, 't3');
});

test('is unavailable when the last token is over and none is to be had', async () => {
  const { state, cache } = setting();
  await cache.get();
  state.failing = true;
  state.now += HOUR_MS - 10_000;
  await assert.rejects(cache.get(), (error: unknown) => error instanceof StoreError && error.code === 'unavailable');
});

test('forgets a token that was refused, but not its successor', async () => {
  const { cache } = setting();
  const { token } = await cache.get();
  cache.refused(token);
  assert.equal((await cache.get()).token, 't2');
  cache.refused(token);
  assert.equal((await cache.get()).token, 't2');
});
