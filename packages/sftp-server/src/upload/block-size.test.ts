import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blockSizeAt } from './block-size.ts';

const MIB = 1024 * 1024;
const PUT_BLOCK_MAX = 4000 * MIB;
/** Block blobs: 50,000 blocks of at most 4,000 MiB (Put Block List, REST reference). */
const MAX_BLOCKS = 50_000;

function blocksFor(sizeBytes: number): number {
  let blocks = 0;
  for (let offset = 0; offset < sizeBytes; blocks++) offset += blockSizeAt(offset, PUT_BLOCK_MAX);
  return blocks;
}

test('the first block is 1 MiB', () => {
  assert.equal(blockSizeAt(0, PUT_BLOCK_MAX), MIB);
});

test('blocks of a large file are 4 MiB, of a huge one more', () => {
  assert.equal(blockSizeAt(1024 * MIB, PUT_BLOCK_MAX), 4 * MIB);
  assert.equal(blockSizeAt(5 * 1024 * MIB, PUT_BLOCK_MAX), 8 * MIB);
});

test('a file of 2 TiB needs fewer than 50,000 blocks', () => {
  assert.ok(blocksFor(2 * 1024 * 1024 * MIB) < MAX_BLOCKS);
});

test('no block is larger than the store allows', () => {
  assert.equal(blockSizeAt(200 * 1024 * MIB, 4 * MIB), 4 * MIB);
});
