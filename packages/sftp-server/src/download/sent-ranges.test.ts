import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SentRanges } from './sent-ranges.ts';

test('each byte counts once, in whatever order and however often it is sent', () => {
  const range = fc.tuple(fc.nat(199), fc.integer({ min: 1, max: 60 }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 60 }), (ranges) => {
      const sent = new SentRanges();
      const bytes = new Set<number>();
      for (const [from, length] of ranges) {
        sent.add(from, from + length);
        for (let byte = from; byte < from + length; byte++) bytes.add(byte);
        assert.equal(sent.sizeBytes, bytes.size);
      }
    }),
  );
});

test('a reader that jumps about for ever costs a bounded list and is told less than it had, never more', () => {
  const sent = new SentRanges();
  for (let index = 0; index < 10_000; index++) sent.add(index * 10, index * 10 + 1);
  assert.equal(sent.sizeBytes, 256);
  sent.add(0, 100_000);
  assert.equal(sent.sizeBytes, 100_000);
});
