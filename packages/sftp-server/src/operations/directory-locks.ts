import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationIntent, OperationRow } from '@skiff/database/operation-log';
import { lockKeyOf, type OperationKind } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import type { Resolve } from './begin.ts';
import { displaceOpen, inUse } from './displace.ts';
import type { OperationContext } from './operation-context.ts';
import { withDatabase } from './with-database.ts';

/** How long a directory operation waits for what began below it before it did. */
const BELOW_PATIENCE_MS = 5_000;
const LOOK_EVERY_MS = 100;
const BATCH = 100;

/** Operations on all that lies below a directory. */
const WHOLE_DIRECTORY: ReadonlySet<OperationKind> = new Set<OperationKind>(['rmdir', 'renamedir']);

/**
 * Directories against what happens below them (DESIGN P2.9). Both sides have taken their own lock by now and look for the other:
 * at least one sees the other, and the directory operation wins. Call it before any effect; when it throws, end the row.
 *
 * @throws {SftpError} when the other side has it.
 */
export async function settleDirectories(context: OperationContext, resolve: Resolve, intent: OperationIntent): Promise<void> {
  // First, because it does not wait: of two directories that contain each other the outer one wins.
  await settleAbove(context, resolve, intent);
  if (!WHOLE_DIRECTORY.has(intent.kind)) return;
  for (const name of namesOf(intent)) await settleBelow(context, resolve, { intent, name });
}

function namesOf({ blobName, targetBlobName }: OperationIntent): readonly BlobName[] {
  return targetBlobName === undefined ? [blobName] : [blobName, targetBlobName];
}

async function settleAbove(context: OperationContext, resolve: Resolve, intent: OperationIntent): Promise<void> {
  const above = new Set(namesOf(intent).flatMap(ancestors));
  const keys = [...above].map((name) => lockKeyOf(intent.storage, name));
  if (keys.length === 0) return;
  const answer = await withDatabase(context, () => context.log.findByLocks(keys));
  if (answer === undefined) throw new SftpError(SftpStatus.failure, 'the service is busy: its database cannot be reached; try again later');
  for (const holder of answer.value.filter((row) => WHOLE_DIRECTORY.has(row.kind) && row.id !== intent.id)) {
    // Left behind by a process that is gone: its end decides what becomes of the directory.
    const ended = holder.owner === null ? await resolve(holder) : undefined;
    if (ended?.kind === 'committed' || ended?.kind === 'aborted') continue;
    const what = holder.kind === 'rmdir' ? 'removed' : 'renamed';
    throw new SftpError(SftpStatus.failure, `a directory above is being ${what} by ${holder.username}; try again later`);
  }
}

interface Below {
  readonly intent: OperationIntent;
  readonly name: BlobName;
}

async function settleBelow(context: OperationContext, resolve: Resolve, { intent, name }: Below): Promise<void> {
  const deadline = context.clock.monotonicMs() + BELOW_PATIENCE_MS;
  for (;;) {
    const answer = await withDatabase(context, () => context.log.findBelow(intent.storage, name, BATCH));
    if (answer === undefined) throw new SftpError(SftpStatus.failure, 'the service is busy: its database cannot be reached; try again later');
    const rows = answer.value.filter((row) => row.id !== intent.id);
    const [first] = rows;
    if (first === undefined) return;
    for (const row of rows) await settleOne(context, resolve, row);
    if (context.clock.monotonicMs() >= deadline) throw inUse(first);
    await sleep(LOOK_EVERY_MS);
  }
}

/** Whoever began after the directory operation ends by itself; what nobody owns is ended here. */
async function settleOne(context: OperationContext, resolve: Resolve, row: OperationRow): Promise<void> {
  if (row.owner !== null) return;
  if (row.state === 'open') await displaceOpen(context, row, 'displaced by an operation on its directory');
  else await resolve(row);
}

/** The directories above a name, as blob names. */
function ancestors(name: BlobName): readonly BlobName[] {
  const segments = name.split('/');
  // Prefixes of a valid name at its delimiters are valid names.
  return segments.slice(1).map((_, index) => segments.slice(0, index + 1).join('/') as BlobName);
}
