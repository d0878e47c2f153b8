import { setTimeout as sleep } from 'node:timers/promises';
import { parseFileEvent } from '@skiff/model/parse-file-event';
import { UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { sql } from 'kysely';
import { inLanes } from '../support/lanes.ts';
import { attemptOf } from './content.ts';
import type { FaultRig } from './fault-rig.ts';
import type { Arrival, Attempt, History, LoggedOperation, Version } from './history.ts';

const STORE_TIMEOUT_MS = 30_000;
const READERS = 16;

/** Rows that somebody still has to do something about. */
async function unsettled(rig: FaultRig): Promise<number> {
  const { rows } = await sql<{ waiting: string }>`
    SELECT COUNT(*) AS waiting FROM operations
    WHERE state IN ('committing', 'committed') OR (state = 'open' AND owner IS NOT NULL)`.execute(rig.database.database.queries);
  return Number(rows[0]?.waiting ?? 0);
}

/** Waits until recovery has nothing left to do and everything is published and delivered. Returns how long it took, ms. */
export async function settle(rig: FaultRig, timeoutMs: number): Promise<number> {
  const startedAt = performance.now();
  let quietSince = startedAt;
  let seen = -1;
  for (;;) {
    const now = performance.now();
    const received = rig.inbox.received.length;
    if ((await unsettled(rig)) > 0 || received !== seen) quietSince = now;
    seen = received;
    if (now - quietSince > 1_500) return quietSince - startedAt;
    if (now - startedAt > timeoutMs) return now - startedAt;
    await sleep(200);
  }
}

/** Reads one version of a blob whole. */
export async function readVersion(rig: FaultRig, blob: string): Promise<Version | undefined> {
  const name = blob as BlobName;
  for (;;) {
    const signal = AbortSignal.timeout(STORE_TIMEOUT_MS);
    const file = await rig.blobs.stat(name, signal);
    if (file === undefined || file.isDirectory) return undefined;
    const operationId = file.metadata[UPLOAD_METADATA_KEY];
    try {
      const parts = await rig.blobs.read(name, { offset: 0, length: file.sizeBytes, etag: file.etag }, signal);
      return { blob, sizeBytes: file.sizeBytes, attempt: attemptOf(Buffer.concat(parts)), operationId };
    } catch (error) {
      // Replaced between the two calls: the next version is as good.
      if (!(error instanceof Error && 'code' in error && (error.code === 'conflict' || error.code === 'notFound'))) throw error;
    }
  }
}

async function namesBelow(rig: FaultRig, directory: string): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const page of rig.blobs.list(directory as BlobName, AbortSignal.timeout(STORE_TIMEOUT_MS))) {
    for (const entry of page) if (!entry.isDirectory) names.push(`${directory}/${entry.name}`);
  }
  return names;
}

function toArrival(path: string, body: string): Arrival | undefined {
  const event = parseFileEvent(JSON.parse(body));
  if (event?.type !== 'dev.skiff.file.uploaded') return undefined;
  const { operationId, username, sizeBytes, blob } = event.data;
  return { target: path.slice(1), id: event.id, operationId, blob: blob.name, username, sequence: event.sequence ?? '', sizeBytes };
}

/** Everything that can be known about a directory after a run: what clients saw, what stands there, what was told. */
export async function collect(
  rig: FaultRig,
  directory: string,
  seen: { readonly attempts: readonly Attempt[]; readonly readings?: readonly Version[] },
): Promise<History> {
  const prefix = `${directory}/`;
  const versions: Version[] = [];
  await inLanes(READERS, await namesBelow(rig, directory), async (name) => {
    const version = await readVersion(rig, name);
    if (version !== undefined) versions.push(version);
  });
  const arrivals = rig.inbox.received.map((received) => toArrival(received.path, received.body)).filter((arrival) => arrival?.blob.startsWith(prefix) === true);
  const rows = await rig.database.database.queries
    .selectFrom('operations')
    .select(['id', 'state', 'blob_name', 'sequence', 'kind'])
    .where('kind', '=', 'upload')
    .execute();
  const operations: LoggedOperation[] = rows
    .filter((row) => row.blob_name.startsWith(prefix))
    .map((row) => ({ id: row.id.toString('hex'), state: row.state, blob: row.blob_name, sequence: row.sequence === null ? null : BigInt(row.sequence) }));
  return {
    attempts: seen.attempts,
    readings: seen.readings ?? [],
    versions,
    arrivals: arrivals.filter((arrival) => arrival !== undefined),
    operations,
    targets: rig.targets,
  };
}
