import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteBudget } from './byte-budget.ts';

test('a request that fits is granted at once', () => {
  const budget = new ByteBudget(100);
  assert.equal(budget.acquire(60), undefined);
  assert.equal(budget.freeBytes, 40);
});

test('a request that does not fit waits, and later ones wait behind it', async () => {
  const budget = new ByteBudget(100);
  void budget.acquire(80);
  const order: string[] = [];
  const large = budget.acquire(50)?.then(() => order.push('large'));
  const small = budget.acquire(10)?.then(() => order.push('small'));
  assert.equal(budget.tryAcquire(1), false);
  budget.release(80);
  await Promise.all([large, small]);
  assert.deepEqual(order, ['large', 'small']);
  assert.equal(budget.freeBytes, 40);
});

test('a request above the total is granted when all is free', () => {
  const budget = new ByteBudget(100);
  assert.equal(budget.acquire(150), undefined);
  assert.equal(budget.tryAcquire(1), false);
  budget.release(150);
  assert.equal(budget.freeBytes, 100);
});

test('when nothing is left, the largest holder is asked to give back until the waiter is served', async () => {
  const budget = new ByteBudget(100);
  const holder = (bytes: number) => {
    let held = bytes;
    assert.equal(budget.acquire(bytes), undefined);
    const self = {
      relieved: false,
      relievableBytes: () => held,
      relieve() {
        self.relieved = true;
        const back = held;
        held = 0;
        queueMicrotask(() => budget.release(back));
      },
    };
    budget.register(self);
    return self;
  };
  const small = holder(30);
  const large = holder(70);
  await budget.acquire(60);
  assert.deepEqual([small.relieved, large.relieved], [false, true]);
});
