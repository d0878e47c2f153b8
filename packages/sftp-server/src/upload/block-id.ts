import type { BlockRef, OperationId } from '@skiff/model/upload-state';

/** 56 characters: below the 64 that Put Block allows, and of one length, which it demands of all blocks of a blob. */
const BLOCK_ID = /^([0-9a-f]{32})([0-9a-f]{4})([0-9a-f]{12})([0-9a-f]{8})$/;

export interface BlockPosition {
  readonly operation: OperationId;
  readonly epoch: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Names a block after the upload, its epoch and its place, so that a list of staged blocks is a resume record. */
export function formatBlockId(position: BlockPosition): string {
  return position.operation + hex(position.epoch, 4) + hex(position.offset, 12) + hex(position.sizeBytes, 8);
}

function hex(value: number, digits: number): string {
  const text = value.toString(16).padStart(digits, '0');
  if (text.length > digits) throw new RangeError(`${value} does not fit ${digits} hexadecimal digits`);
  return text;
}

/** `undefined` for a block that is not ours. */
export function parseBlockId(id: string): BlockPosition | undefined {
  const match = BLOCK_ID.exec(id);
  if (match === null) return undefined;
  const [, operation = '', epoch = '', offset = '', size = ''] = match;
  return { operation: operation as OperationId, epoch: Number.parseInt(epoch, 16), offset: Number.parseInt(offset, 16), sizeBytes: Number.parseInt(size, 16) };
}

export interface StagedPrefix {
  readonly blocks: readonly BlockRef[];
  readonly sizeBytes: number;
}

/**
 * The contiguous start of an upload among all staged blocks of a blob. Where two blocks begin at one offset, the one of the
 * later epoch counts: it was staged by the writer that took the upload over.
 */
export function contiguousPrefix(staged: readonly BlockRef[], operation: OperationId): StagedPrefix {
  const byOffset = new Map<number, { readonly position: BlockPosition; readonly block: BlockRef }>();
  for (const block of staged) {
    const position = parseBlockId(block.id);
    if (position === undefined || position.operation !== operation || position.sizeBytes !== block.sizeBytes) continue;
    const known = byOffset.get(position.offset);
    if (known === undefined || known.position.epoch < position.epoch) byOffset.set(position.offset, { position, block });
  }
  const blocks: BlockRef[] = [];
  let offset = 0;
  for (let next = byOffset.get(0); next !== undefined && next.block.sizeBytes > 0; next = byOffset.get(offset)) {
    blocks.push(next.block);
    offset += next.block.sizeBytes;
  }
  return { blocks, sizeBytes: offset };
}
