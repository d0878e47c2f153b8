import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { overlaps, strayWrites, termsOf } from './writers.ts';

describe('the judge of writers', () => {
  const terms = termsOf([
    { holder: 'a', epoch: 0, atMs: 100 },
    { holder: 'a', epoch: 0, atMs: 200 },
    { holder: 'b', epoch: 1, atMs: 300 },
    { holder: '', epoch: 1, atMs: 400 },
    { holder: 'a', epoch: 2, atMs: 500 },
  ]);
  const write = (process: string, atMs: number) => ({ process, what: 'a row', atMs });

  it('takes a term from its first lease until somebody else has it, or nobody', () => {
    assert.deepEqual(
      terms.map(({ process, epoch, fromMs, untilMs }) => [process, epoch, fromMs, untilMs]),
      [
        ['a', 0, 100, 300],
        ['b', 1, 300, 400],
        ['a', 2, 500, Number.POSITIVE_INFINITY],
      ],
    );
  });

  it('lets pass what the holder writes', () => {
    const writes = [write('a', 150), write('b', 350), write('a', 600)];
    assert.deepEqual(strayWrites(writes, terms), []);
    assert.deepEqual(overlaps(writes, terms), []);
  });

  it('finds a write of one who leads no longer, not yet, or never did', () => {
    assert.equal(strayWrites([write('a', 350), write('b', 250), write('a', 450), write('c', 350)], terms).length, 4);
  });

  it('finds epochs that do not grow', () => {
    const twice = termsOf([
      { holder: 'a', epoch: 1, atMs: 100 },
      { holder: 'b', epoch: 1, atMs: 200 },
    ]);
    assert.equal(overlaps([write('a', 150), write('b', 250)], twice).length, 1);
  });
});
