import { randomBytes } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { BlockRef } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import type { Metadata } from '../metadata.ts';
import { unless } from './errno.ts';
import { type LocalTree, syncDirectory } from './local-tree.ts';

/** What a directory entry cannot hold. Kept per version of a file, so that renaming the file into place switches both at once. */
export interface Sidecar {
  /** Changes with the metadata. */
  readonly version: string;
  readonly metadata: Metadata;
  /** Of a committed file, in order, so that a later commit can use them again. */
  readonly blocks: readonly BlockRef[];
}

/** Tells one version of a file from the next, also when another program wrote it; a directory stays itself whatever happens in it. */
function stampOf(stats: BigIntStats): string {
  return stats.isDirectory() ? `dir-${stats.ino}` : `${stats.ino}-${stats.size}-${stats.mtimeNs}`;
}

export function etagOf(stats: BigIntStats, sidecar: Sidecar | undefined): string {
  return sidecar === undefined ? `"${stampOf(stats)}"` : `"${stampOf(stats)}-${sidecar.version}"`;
}

export function newSidecar(metadata: Metadata, blocks: readonly BlockRef[]): Sidecar {
  return { version: randomBytes(8).toString('hex'), metadata, blocks };
}

/** `undefined` for a file that another program made or changed. */
export async function readSidecar(tree: LocalTree, name: BlobName, stats: BigIntStats): Promise<Sidecar | undefined> {
  const text = await unless(['ENOENT'], readFile(tree.sidecar(name, stampOf(stats)), 'utf8'));
  return text === undefined ? undefined : parseSidecar(JSON.parse(text));
}

function parseSidecar(value: unknown): Sidecar {
  if (typeof value === 'object' && value !== null && 'version' in value && 'metadata' in value && 'blocks' in value) {
    const { version, metadata, blocks } = value;
    if (typeof version === 'string' && isMetadata(metadata) && Array.isArray(blocks) && blocks.every(isBlockRef)) return { version, metadata, blocks };
  }
  throw new Error('a metadata file of the local store is damaged');
}

function isMetadata(value: unknown): value is Metadata {
  return typeof value === 'object' && value !== null && Object.values(value).every((item) => typeof item === 'string');
}

function isBlockRef(value: unknown): value is BlockRef {
  return (
    typeof value === 'object' && value !== null && 'id' in value && 'sizeBytes' in value && typeof value.id === 'string' && typeof value.sizeBytes === 'number'
  );
}

export async function writeSidecar(tree: LocalTree, name: BlobName, stats: BigIntStats, sidecar: Sidecar): Promise<void> {
  const path = tree.sidecar(name, stampOf(stats));
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = tree.temporary();
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(JSON.stringify(sidecar));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

export async function removeSidecar(tree: LocalTree, name: BlobName, stats: BigIntStats): Promise<void> {
  await rm(tree.sidecar(name, stampOf(stats)), { force: true });
}
