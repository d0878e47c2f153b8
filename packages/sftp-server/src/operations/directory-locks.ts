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

/** Operations that make a name below a directory. */
const MAKES: ReadonlySet<OperationKind> = new Set<OperationKind>(['upload', 'rename', 'mkdir']);
/** Operations on all that lies below a directory. */
const WHOLE_DIRECTORY: ReadonlySet<OperationKind> = new Set<OperationKind>(['rmdir']);

/**
 * Directories against what is made below them (DESIGN P2.9). Both sides have taken their own lock by now and look for the other:
 * at least one sees the other, and the directory operation wins. Call it before any effect; when it throws, end the row.
 *
 * @throws {SftpError} when the other side has it.
 */
export async function settleDirectories(context: OperationContext, resolve: Resolve, intent: OperationIntent): Promise<void> {
  if (MAKES.has(intent.kind)) await settleAbove(context, resolve, intent);
  if (WHOLE_DIRECTORY.has(intent.kind)) await settleBelow(context, resolve, intent);
}

async function settleAbove(context: OperationContext, resolve: Resolve, intent: OperationIntent): Promise<void> {
  const keys = ancestors(intent.targetBlobName ?? intent.blobName).map((name) => lockKeyOf(intent.storage, name));
  if (keys.length === 0) return;
  const answer = await withDatabase(context, () => context.log.findByLocks(keys));
  if (answer === undefined) throw new SftpError(SftpStatus.failure, 'the service is busy: its database cannot be reached; try again later');
  for (const holder of answer.value.filter((row) => WHOLE_DIRECTORY.has(row.kind))) {
    // Left behind by a process that is gone: its end decides what becomes of the directory.
    if (holder.owner === null && (await resolve(holder)) !== undefined) continue;
    throw new SftpError(SftpStatus.failure, `the directory is subject to a ${holder.kind} by ${holder.username}; try again later`);
  }
}

async function settleBelow(context: OperationContext, resolve: Resolve, intent: OperationIntent): Promise<void> {
  const deadline = context.clock.monotonicMs() + BELOW_PATIENCE_MS;
  for (;;) {
    const answer = await withDatabase(context, () => context.log.findBelow(intent.storage, intent.blobName, BATCH));
    if (answer === undefined) throw new SftpError(SftpStatus.failure, 'the service is busy: its database cannot be reached; try again later');
    const [first] = answer.value;
    if (first === undefined) return;
    for (const row of answer.value) await settleOne(context, resolve, row);
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
