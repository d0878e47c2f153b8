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
    base: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    offset: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    sizeBytes: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  },
  { noNullPrototype: true },
);

test('every position survives its id, and all ids have 64 characters', () => {
  fc.assert(
    fc.property(position, (value) => {
      const id = formatBlockId(value);
      assert.equal(id.length, 64);
      assert.deepEqual(parseBlockId(id), value);
    }),
  );
});

test('an id that is not ours is no position', () => {
  for (const id of ['', 'AAAA', 'z'.repeat(64), `${'a'.repeat(64)}b`]) assert.equal(parseBlockId(id), undefined);
});

test('an offset beyond 48 bits is refused, not truncated', () => {
  assert.throws(() => formatBlockId({ operation, epoch: 1, base: 0, offset: 2 ** 48, sizeBytes: 1 }), RangeError);
});

function block(offset: number, sizeBytes: number, { epoch = 1, base = 0, owner = operation } = {}) {
  return { id: formatBlockId({ operation: owner, epoch, base, offset, sizeBytes }), sizeBytes };
}

test('the contiguous prefix ends at the first gap', () => {
  const prefix = contiguousPrefix([block(20, 5), block(0, 10), block(10, 5)], operation);
  assert.equal(prefix.sizeBytes, 15);
  assert.equal(prefix.blocks.length, 2);
});

test('a writer that took over from the start leaves nothing of the one before', () => {
  const prefix = contiguousPrefix([block(0, 10, { epoch: 2 }), block(0, 4), block(4, 6), block(10, 5)], operation);
  assert.deepEqual(prefix, { blocks: [block(0, 10, { epoch: 2 })], sizeBytes: 10 });
});

test('blocks that a displaced writer staged later do not count', () => {
  const late = block(10, 5);
  const taken = { epoch: 2, base: 10 };
  assert.equal(contiguousPrefix([block(0, 10), late, block(15, 5, taken)], operation).sizeBytes, 10, 'the gap of the new writer stays a gap');
  const { blocks } = contiguousPrefix([block(0, 10), late, block(10, 7, taken), block(17, 3, taken)], operation);
  assert.deepEqual(blocks, [block(0, 10), block(10, 7, taken), block(17, 3, taken)]);
});

test('blocks of another upload, and blocks whose size is not what their id says, do not count', () => {
  const torn = { ...block(0, 10), sizeBytes: 9 };
  assert.equal(contiguousPrefix([block(0, 10, { owner: other }), torn], operation).sizeBytes, 0);
});

test('whatever displaced writers stage late, in any order, the prefix is what the writers in charge have written', () => {
  const takeover = fc.record({
    blocks: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 4 }),
    late: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(takeover, { minLength: 1, maxLength: 4 }), fc.integer(), (writers, seed) => {
      let base = 0;
      const staged: { id: string; sizeBytes: number }[] = [];
      const expected: { id: string; sizeBytes: number }[] = [];
      writers.forEach(({ blocks, late }, index) => {
        const epoch = index + 1;
        let offset = base;
        for (const sizeBytes of blocks) {
          const own = block(offset, sizeBytes, { epoch, base });
          expected.push(own);
          staged.push(own);
          offset += sizeBytes;
        }
        const end = offset;
        // The last writer is nobody's zombie. One that has staged nothing in time has left no trace of its epoch.
        if (index < writers.length - 1 && writers.slice(index + 1).some((later) => later.blocks.length > 0)) {
          for (const sizeBytes of late) {
            staged.push(block(offset, sizeBytes, { epoch, base }));
            offset += sizeBytes;
          }
        }
        base = end;
      });
      const shuffled = staged.toSorted((a, b) => hash(a.id, seed) - hash(b.id, seed));
      assert.deepEqual(contiguousPrefix(shuffled, operation).blocks, expected);
    }),
  );
});

function hash(text: string, seed: number): number {
  let value = seed | 0;
  for (const character of text) value = Math.imul(value ^ character.charCodeAt(0), 0x01000193);
  return value;
}
