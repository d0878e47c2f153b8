import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Turns } from './turns.ts';

describe('turns', () => {
  it('follow each other at their spacing, none later than a minute', () => {
    const turns = new Turns(
      () => 5000,
      () => 0.5,
    );
    const given = Array.from({ length: 2000 }, () => turns.next(100));
    assert.deepEqual(given.slice(0, 3), [100, 200, 300]);
    assert.equal(given[599], 60_000);
    assert.deepEqual([...new Set(given.slice(600))], [45_000]);
    turns.reset();
    assert.equal(turns.next(100), 100);
  });
});
