import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Secret } from '@skiff/runtime/secret';
import { createCachedVerifier } from './verification-cache.ts';

function rig(props: { readonly maxEntries?: number } = {}) {
  const state = { nowMs: 0, calls: 0 };
  const verify = createCachedVerifier({
    verify: async (hash, password) => {
      state.calls++;
      await Promise.resolve();
      return hash === `hash of ${password.reveal()}`;
    },
    clock: { now: () => new Date(0), monotonicMs: () => state.nowMs },
    ...props,
  });
  const check = (hash: string | null, password: string): Promise<boolean> => verify(hash, new Secret(password));
  return { state, check };
}

describe('cached verifier', () => {
  it('remembers a right password for 60 s, counted from the real check', async () => {
    const { state, check } = rig();
    assert.equal(await check('hash of a', 'a'), true);
    state.nowMs = 59_999;
    assert.equal(await check('hash of a', 'a'), true);
    assert.equal(state.calls, 1);
    state.nowMs = 60_000;
    assert.equal(await check('hash of a', 'a'), true);
    assert.equal(state.calls, 2);
  });

  it('never remembers a wrong password or an unknown user', async () => {
    const { state, check } = rig();
    for (let round = 0; round < 3; round++) {
      assert.equal(await check('hash of a', 'b'), false);
      assert.equal(await check(null, 'a'), false);
    }
    assert.equal(state.calls, 6);
  });

  it('asks again when the hash has changed', async () => {
    const { state, check } = rig();
    await check('hash of a', 'a');
    assert.equal(await check('hash of b', 'a'), false);
    assert.equal(state.calls, 2);
  });

  it('does not confuse where the hash ends and the password begins', async () => {
    const { check } = rig();
    assert.equal(await check('hash of a\0b', 'a\0b'), true);
    assert.equal(await check('hash of a', 'b\0a\0b'), false);
  });

  it('checks once for those who come together with the same password', async () => {
    const { state, check } = rig();
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => check('hash of a', 'a'))), [true, true, true]);
    assert.equal(state.calls, 1);
  });

  it('forgets the oldest when it is full', async () => {
    const { state, check } = rig({ maxEntries: 2 });
    for (const password of ['a', 'b', 'c']) await check(`hash of ${password}`, password);
    await check('hash of c', 'c');
    await check('hash of b', 'b');
    assert.equal(state.calls, 3);
    await check('hash of a', 'a');
    assert.equal(state.calls, 4);
  });
});
