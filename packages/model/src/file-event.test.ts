import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { eventSource, formatSequence } from './file-event.ts';

describe('sequence', () => {
  it('compares as text as it does as a number, over the whole range of a database counter', () => {
    const number = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    fc.assert(
      fc.property(number, number, (left, right) => {
        assert.equal(formatSequence(left) < formatSequence(right), left < right);
        assert.match(formatSequence(left), /^[0-9]{20}$/);
        assert.equal(BigInt(formatSequence(left)), left);
      }),
    );
  });
});

describe('source', () => {
  it('names namespace and endpoint', () => {
    assert.equal(eventSource({ namespace: 'team', name: 'main' }), '/skiff/team/main');
  });
});
