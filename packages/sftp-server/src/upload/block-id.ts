import type { BlockRef, OperationId } from '@skiff/model/upload-state';

/** 64 characters: what Put Block allows, and of one length, which it demands of all blocks of a blob. */
const BLOCK_ID = /^([0-9a-f]{32})([0-9a-f]{4})([0-9a-f]{12})([0-9a-f]{8})([A-Za-z0-9_-]{8})$/;
const BASE_BYTES = 6;

export interface BlockPosition {
  readonly operation: OperationId;
  readonly epoch: number;
  /** Where the writer of this epoch went on: what lies before it was staged in earlier epochs. */
  readonly base: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Names a block after the upload, its epoch and its place, so that a list of staged blocks is a resume record. */
export function formatBlockId({ operation, epoch, base, offset, sizeBytes }: BlockPosition): string {
  return operation + hex(epoch, 4) + hex(offset, 12) + hex(sizeBytes, 8) + Buffer.from(hex(base, BASE_BYTES * 2), 'hex').toString('base64url');
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
  const [, operation = '', epoch = '', offset = '', size = '', base = ''] = match;
  return {
    operation: operation as OperationId,
    epoch: Number.parseInt(epoch, 16),
    base: Buffer.from(base, 'base64url').readUIntBE(0, BASE_BYTES),
    offset: Number.parseInt(offset, 16),
    sizeBytes: Number.parseInt(size, 16),
  };
}

/** Orders blocks of one upload by where they lie. */
export function compareOffsets(a: BlockRef, b: BlockRef): number {
  const [first, second] = [a.id.slice(36, 48), b.id.slice(36, 48)];
  if (first === second) return 0;
  return first < second ? -1 : 1;
}

export interface StagedPrefix {
  readonly blocks: readonly BlockRef[];
  readonly sizeBytes: number;
}

interface Epoch {
  readonly base: number;
  readonly byOffset: Map<number, BlockRef>;
}

/**
 * The contiguous start of an upload among all staged blocks of a blob. Each epoch goes on where its writer said it would:
 * blocks that a displaced writer staged beyond that place, however late they landed, do not count.
 */
export function contiguousPrefix(staged: readonly BlockRef[], operation: OperationId): StagedPrefix {
  const epochs = new Map<number, Epoch>();
  for (const block of staged) {
    const position = parseBlockId(block.id);
    if (position === undefined || position.operation !== operation || position.sizeBytes !== block.sizeBytes) continue;
    const epoch = epochs.get(position.epoch) ?? { base: position.base, byOffset: new Map<number, BlockRef>() };
    epoch.byOffset.set(position.offset, block);
    epochs.set(position.epoch, epoch);
  }
  let prefix: StagedPrefix = { blocks: [], sizeBytes: 0 };
  for (const [, { base, byOffset }] of [...epochs].sort(([a], [b]) => a - b)) {
    const before = cutPrefix(prefix, base);
    if (before === undefined) continue;
    const blocks = [...before.blocks];
    let offset = base;
    for (let next = byOffset.get(offset); next !== undefined && next.sizeBytes > 0; next = byOffset.get(offset)) {
      blocks.push(next);
      offset += next.sizeBytes;
    }
    prefix = { blocks, sizeBytes: offset };
  }
  return prefix;
}

/** The blocks before `offset`; `undefined` when no block ends there. */
export function cutPrefix(prefix: StagedPrefix, offset: number): StagedPrefix | undefined {
  let end = 0;
  for (let count = 0; ; count++) {
    if (end === offset) return { blocks: prefix.blocks.slice(0, count), sizeBytes: end };
    const block = prefix.blocks[count];
    if (block === undefined || end > offset) return undefined;
    end += block.sizeBytes;
  }
}
