import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError } from '@skiff/model/store-error';
import { GroupCommit } from './group-commit.ts';

describe('group commit', () => {
  it('runs a lone call at once and gathers the others while it runs', async () => {
    const batches: string[][] = [];
    const group = new GroupCommit({
      run: async (calls: readonly string[]) => {
        batches.push([...calls]);
        await sleep(5);
        return calls.map((call) => call.toUpperCase());
      },
      keyOf: (call) => call,
    });
    const first = group.submit('a');
    await sleep(1);
    const others = Array.from({ length: 600 }, (_, index) => group.submit(`b${index}`));
    assert.equal(await first, 'A');
    assert.deepEqual(
      await Promise.all(others),
      Array.from({ length: 600 }, (_, index) => `B${index}`),
    );
    assert.deepEqual(
      batches.map((batch) => batch.length),
      [1, 256, 256, 88],
    );
  });

  it('never puts two calls with one key into a transaction, and keeps their order', async () => {
    const batches: string[][] = [];
    const group = new GroupCommit({
      run: async (calls: readonly string[]) => {
        batches.push([...calls]);
        return calls;
      },
      keyOf: (call) => call[0] ?? '',
    });
    await Promise.all(['a1', 'a2', 'b1', 'a3'].map((call) => group.submit(call)));
    assert.deepEqual(batches, [['a1', 'b1'], ['a2'], ['a3']]);
  });

  it('bounds a transaction by bytes, but always takes one call', async () => {
    const batches: number[][] = [];
    const group = new GroupCommit({
      run: async (calls: readonly number[]) => {
        batches.push([...calls]);
        return calls;
      },
      keyOf: (call) => String(call),
      sizeOf: (call) => call,
    });
    await Promise.all([9 << 20, 3 << 20, 2 << 20, 1 << 20].map((call) => group.submit(call)));
    assert.deepEqual(batches, [[9 << 20], [3 << 20, 1 << 20], [2 << 20]]);
  });

  it('fails all together when the database is away, and only the guilty one otherwise', async () => {
    let code: 'unavailable' | 'invalid' = 'unavailable';
    const group = new GroupCommit({
      run: async (calls: readonly string[]) => {
        if (calls.includes('bad')) throw new StoreError({ code, message: 'no' });
        return calls;
      },
      keyOf: (call) => call,
    });
    const settle = async () => (await Promise.allSettled(['good', 'bad', 'fine'].map((call) => group.submit(call)))).map((result) => result.status);
    assert.deepEqual(await settle(), ['rejected', 'rejected', 'rejected']);
    code = 'invalid';
    assert.deepEqual(await settle(), ['fulfilled', 'rejected', 'fulfilled']);
  });

  it('refuses more than 20,000 waiting calls', async () => {
    const gate = Promise.withResolvers<void>();
    const group = new GroupCommit({
      run: async (calls: readonly number[]) => {
        await gate.promise;
        return calls;
      },
      keyOf: (call) => String(call),
    });
    const calls = Array.from({ length: 20_001 + 256 }, (_, index) => group.submit(index));
    const settled = Promise.allSettled(calls);
    gate.resolve();
    const refused = (await settled).filter((result) => result.status === 'rejected');
    assert.ok(refused.length > 0 && refused.every((result) => result.reason.code === 'throttled'));
  });
});
