const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** From these offsets on, blocks are this long. Above 4 MiB the cost per byte no longer falls; the rest keeps 2 TiB below 50,000 blocks. */
const STEPS = [
  { from: 128 * GIB, sizeBytes: 64 * MIB },
  { from: 32 * GIB, sizeBytes: 16 * MIB },
  { from: 4 * GIB, sizeBytes: 8 * MIB },
  { from: 32 * MIB, sizeBytes: 4 * MIB },
] as const;

/**
 * How long the block starting at `offset` is, in bytes. Small files and many parallel ones hold little memory; large files
 * stay below the store's number of blocks (Put Block List: 50,000).
 */
export function blockSizeAt(offset: number, maxBlockBytes: number): number {
  const step = STEPS.find(({ from }) => offset >= from)?.sizeBytes ?? Math.max(MIB, Math.floor(offset / 8 / MIB) * MIB);
  return Math.min(step, maxBlockBytes);
}
