import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationRef, OperationRow } from '@skiff/database/operation-log';
import type { VirtualPath } from '@skiff/model/virtual-path';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import { DATABASE_AWAY } from '../operations/begin.ts';
import { giveUp } from '../operations/displace.ts';
import { withDatabase } from '../operations/with-database.ts';
import { finishOrphan } from '../recovery/finish-orphan.ts';
import { contiguousPrefix, type StagedPrefix } from '../upload/block-id.ts';
import type { SessionFiles } from './session-files.ts';
import { isFinished } from './unfinished-uploads.ts';

/** How long a reopen waits for the end of a CLOSE under way on another handle. */
const COMPLETION_PATIENCE_MS = 5_000;
const LOOK_EVERY_MS = 100;

export interface Resumed extends StagedPrefix {
  readonly ref: OperationRef;
  readonly priorEtag: string | null;
}

/**
 * Takes over the unfinished upload of a path, if this user has one: on this pod or another, after a cut or beside a session
 * that hangs (DESIGN P2.8, P3). A CLOSE under way is brought to its end first. The old handle fails from here on.
 */
export async function takeOverUpload(files: SessionFiles, path: VirtualPath): Promise<Resumed | undefined> {
  const { context } = files.props;
  const deadline = context.clock.monotonicMs() + COMPLETION_PATIENCE_MS;
  for (;;) {
    const row = await unfinishedUpload(files, path);
    if (row === undefined) return undefined;
    if (row.state === 'open') return takeOver(files, path, row);
    if (row.owner === null) await finishOrphan(context, row);
    if (context.clock.monotonicMs() >= deadline) throw new SftpError(SftpStatus.failure, `${path}: is just being completed; try again`);
    await sleep(LOOK_EVERY_MS);
  }
}

async function takeOver(files: SessionFiles, path: VirtualPath, row: OperationRow): Promise<Resumed | undefined> {
  const { context } = files.props;
  const ref = await context.log.adopt(row, context.lease.instance);
  if (ref === undefined) throw new SftpError(SftpStatus.failure, `${path}: another session has just taken the upload over`);
  context.uploads.displace(row.id, 'the upload was taken over by another session of this user');
  try {
    if (isFinished(row, await files.stat(path))) {
      await giveUp(context, ref, 'the file was finished before');
      return undefined;
    }
    const staged = await context.store.listStagedBlocks(row.blobName, files.timeout());
    return { ref, priorEtag: row.priorEtag, ...contiguousPrefix(staged, row.id) };
  } catch (error) {
    await context.parking.park(ref);
    throw error;
  }
}

/** The unfinished upload of a path, if it is this user's. @throws {SftpError} when the database is away. */
export async function unfinishedUpload(files: SessionFiles, path: VirtualPath): Promise<OperationRow | undefined> {
  const { context, user } = files.props;
  const answer = await withDatabase(context, () => context.log.findByLock(files.lockKey(files.nameOf(path))));
  if (answer === undefined) throw new SftpError(SftpStatus.failure, DATABASE_AWAY);
  const row = answer.value;
  return row !== undefined && row.kind === 'upload' && row.username === user.username && row.endpointId === context.endpoint.id ? row : undefined;
}
