import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toOperationId } from '@skiff/model/upload-state';
import fc from 'fast-check';
import { contiguousPrefix, formatBlockId, parseBlockId } from './block-id.ts';

const operation = toOperationId(Buffer.alloc(16, 7));
const other = toOperationId(Buffer.alloc(16, 9));
const position = fc.record(
  {
    operation: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(toOperationId),
    epoch: fc.integer({ min: 1, max: 0xffff }),
    offset: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    sizeBytes: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  },
  { noNullPrototype: true },
);

test('every position survives its id, and all ids have 56 characters', () => {
  fc.assert(
    fc.property(position, (value) => {
      const id = formatBlockId(value);
      assert.equal(id.length, 56);
      assert.deepEqual(parseBlockId(id), value);
    }),
  );
});

test('an id that is not ours is no position', () => {
  for (const id of ['', 'AAAA', 'z'.repeat(56), `${'a'.repeat(56)}b`]) assert.equal(parseBlockId(id), undefined);
});

test('an offset beyond 48 bits is refused, not truncated', () => {
  assert.throws(() => formatBlockId({ operation, epoch: 1, offset: 2 ** 48, sizeBytes: 1 }), RangeError);
});

function block(offset: number, sizeBytes: number, epoch = 1, owner = operation) {
  return { id: formatBlockId({ operation: owner, epoch, offset, sizeBytes }), sizeBytes };
}

test('the contiguous prefix ends at the first gap', () => {
  const prefix = contiguousPrefix([block(20, 5), block(0, 10), block(10, 5)], operation);
  assert.equal(prefix.sizeBytes, 15);
  assert.equal(prefix.blocks.length, 2);
});

test('the block of the later epoch wins at one offset', () => {
  const prefix = contiguousPrefix([block(0, 10, 2), block(0, 4, 1), block(4, 6, 1)], operation);
  assert.deepEqual(prefix, { blocks: [block(0, 10, 2)], sizeBytes: 10 });
});

test('blocks of another upload, and blocks whose size is not what their id says, do not count', () => {
  const torn = { ...block(0, 10), sizeBytes: 9 };
  assert.equal(contiguousPrefix([block(0, 10, 1, other), torn], operation).sizeBytes, 0);
});
