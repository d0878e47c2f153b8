import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlobName } from '@skiff/model/virtual-path';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { createAzureBlobStore } from '@skiff/storage/azure-blob';
import type { FileStore } from '@skiff/storage/file-store';
import { type BlobStandInProcess, startBlobStandInProcess } from '../emulators/blob-stand-in/blob-stand-in-process.ts';
import { type Certificates, makeCertificates } from '../emulators/certificates.ts';
import { Checks } from '../support/checks.ts';

// What the blob client alone costs per GiB, apart from SSH. The stand-in runs in a process of its own, so that only the client's CPU counts.
const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const BLOCK_BYTES = 8 * MIB;
/** As they come off an SFTP channel. */
const PART_BYTES = 32 * 1024;
const IN_FLIGHT = 4;
const BLOCKS = (Number(process.argv[2] ?? 1) * GIB) / BLOCK_BYTES;
const WARM_UP_BLOCKS = 32;

// About 1.5 times what two busy cores took: the limits are to catch a copy or a wrapper on the way, which costs twice.
const LIMITS = { http: { up: '<= 0.6', down: '<= 2.6' }, https: { up: '<= 1.3', down: '<= 2.9' } } as const;

const block = Array.from({ length: BLOCK_BYTES / PART_BYTES }, () => randomBytes(PART_BYTES));
const file = 'bench' as BlobName;
const checks = new Checks('bench-storage-client');
const directory = await mkdtemp(join(tmpdir(), 'skiff-bench-'));
try {
  const certificates = await makeCertificates(directory);
  for (const scheme of ['http', 'https'] as const) await benchScheme(scheme, certificates);
} finally {
  await rm(directory, { recursive: true });
}
process.exitCode = checks.finish() ? 0 : 1;

async function benchScheme(scheme: 'http' | 'https', certificates: Certificates): Promise<void> {
  const tls = scheme === 'https' ? { tls: { keyFile: certificates.keyFile, certFile: certificates.certFile } } : {};
  const standIn = await startBlobStandInProcess({ discardPayload: true, ...tls });
  const store = storeOf(standIn, certificates.ca);
  try {
    await benchStore(scheme, store);
  } finally {
    await store.close();
    await standIn.stop();
  }
}

function storeOf(standIn: BlobStandInProcess, ca: string): FileStore {
  const credential = { accountName: standIn.accountName, accountKey: new Secret(standIn.accountKey) };
  return createAzureBlobStore({ accountUrl: standIn.url, container: 'files', credential, logger: silentLogger, ca });
}

async function benchStore(scheme: 'http' | 'https', store: FileStore): Promise<void> {
  const signal = AbortSignal.timeout(10 * 60_000);
  const idOf = (index: number): string => String(index).padStart(8, '0');
  const upload = (index: number): Promise<void> => store.stageBlock(file, idOf(index), { parts: block, sizeBytes: BLOCK_BYTES }, signal);
  await measure(WARM_UP_BLOCKS, upload);
  const up = await measure(BLOCKS, upload);
  const blocks = Array.from({ length: BLOCKS }, (_, index) => ({ id: idOf(index), sizeBytes: BLOCK_BYTES }));
  const { etag } = await store.commitBlocks(file, blocks, { metadata: { skiff_upload: 'bench' }, signal });
  const download = async (index: number): Promise<void> => {
    const parts = await store.read(file, { offset: index * BLOCK_BYTES, length: BLOCK_BYTES, etag }, signal);
    if (parts.reduce((sum, part) => sum + part.length, 0) !== BLOCK_BYTES) throw new Error('a range is incomplete');
  };
  await measure(Math.min(WARM_UP_BLOCKS, BLOCKS), download);
  const down = await measure(BLOCKS, download);
  for (const [direction, figures] of [['up', up] as const, ['down', down] as const]) {
    checks.add(`${scheme} ${direction}, client CPU`, figures.cpuSecondsPerGib, 's/GiB', LIMITS[scheme][direction]);
    checks.add(`${scheme} ${direction}, throughput`, figures.mibPerSecond, 'MiB/s');
  }
  checks.add(`${scheme}, resident memory at the end`, process.memoryUsage.rss() / MIB, 'MiB');
}

async function measure(blocks: number, run: (index: number) => Promise<void>): Promise<{ readonly cpuSecondsPerGib: number; readonly mibPerSecond: number }> {
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < blocks) await run(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  const { user, system } = process.cpuUsage(cpuBefore);
  const gib = (blocks * BLOCK_BYTES) / GIB;
  return { cpuSecondsPerGib: (user + system) / 1e6 / gib, mibPerSecond: (gib * 1024) / ((performance.now() - startedAt) / 1000) };
}
