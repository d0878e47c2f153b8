import { StoreError } from '@skiff/model/store-error';
import type { Content, ReadRange } from './file-store.ts';

/** @throws {StoreError} `invalid` when the parts do not add up, or are more than the store takes at once. */
export function checkContent(content: Content, maxBytes: number): void {
  let sizeBytes = 0;
  for (const part of content.parts) sizeBytes += part.length;
  if (sizeBytes !== content.sizeBytes) throw new StoreError({ code: 'invalid', message: 'the parts do not add up to the stated size' });
  if (sizeBytes > maxBytes) throw new StoreError({ code: 'invalid', message: `more than ${maxBytes} bytes at once` });
}

/** Put Block: a block id has at most 64 bytes before it is encoded. */
const MAX_BLOCK_ID_BYTES = 64;

/** @throws {StoreError} `invalid` for an id that is empty, too long or not printable ASCII, and for an empty or a wrong content. */
export function checkBlock(blockId: string, content: Content, maxBytes: number): void {
  checkContent(content, maxBytes);
  if (content.sizeBytes === 0) throw new StoreError({ code: 'invalid', message: 'a block must not be empty' });
  if (!/^[\x21-\x7e]+$/.test(blockId) || blockId.length > MAX_BLOCK_ID_BYTES) {
    throw new StoreError({ code: 'invalid', message: `a block id is 1 to ${MAX_BLOCK_ID_BYTES} printable ASCII characters` });
  }
}

/** Far above what a read-ahead asks for; keeps a wrong length from asking for a whole file in memory. */
const MAX_READ_BYTES = 64 * 1024 * 1024;

/** @throws {StoreError} `invalid` for a range that is none, or too long for one answer. */
export function checkRange(range: ReadRange): void {
  const { offset, length } = range;
  if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 0 || length > MAX_READ_BYTES) {
    throw new StoreError({ code: 'invalid', message: `a range starts at 0 or later and has at most ${MAX_READ_BYTES} bytes` });
  }
}
