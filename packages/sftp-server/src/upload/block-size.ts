const MIB = 1024 * 1024;
const FIRST_BLOCK = MIB;
/** 8 MiB is where the cost per byte stops falling (docs/decisions). */
const USUAL_BLOCK = 8 * MIB;
/** Beyond this offset blocks grow again, so that 50,000 of them reach the largest block blob. */
const GROWTH_START = 128 * 1024 * MIB;
const BLOCKS_FOR_THE_REST = 25_000;

/**
 * How long the block starting at `offset` is, in bytes: small files and many parallel ones hold little memory, large files
 * stay below the store's limit of blocks. Put Block allows 4,000 MiB a block and 50,000 blocks a blob.
 */
export function blockSizeAt(offset: number, maxBlockBytes: number): number {
  const early = Math.max(FIRST_BLOCK, Math.min(USUAL_BLOCK, floorToMiB(offset / 8)));
  const late = offset < GROWTH_START ? 0 : ceilToMiB(offset / BLOCKS_FOR_THE_REST);
  return Math.min(Math.max(early, late), maxBlockBytes);
}

function floorToMiB(bytes: number): number {
  return Math.floor(bytes / MIB) * MIB;
}

function ceilToMiB(bytes: number): number {
  return Math.ceil(bytes / MIB) * MIB;
}
