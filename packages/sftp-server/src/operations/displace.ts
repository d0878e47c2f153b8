import type { OperationRef, OperationRow } from '@skiff/database/operation-log';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import type { OperationContext } from './operation-context.ts';
import { withDatabase } from './with-database.ts';

/** Takes an `open` row from whoever has it and ends it. */
export async function displaceOpen(context: OperationContext, holder: OperationRow, reason: string): Promise<boolean> {
  const taken = await context.log.adopt(holder, context.lease.instance);
  if (taken === undefined) return false;
  context.uploads.displace(holder.id, 'the file was taken over by another session of this user');
  await giveUp(context, taken, reason);
  return true;
}

/** Ends a row that has had no effect, or parks it when the database is away. */
export async function giveUp(context: OperationContext, ref: OperationRef, reason: string): Promise<void> {
  const answer = await withDatabase(context, () => context.log.abort(ref, reason));
  if (answer === undefined) await context.parking.park(ref);
}

export function inUse(holder: OperationRow): SftpError {
  const what = holder.kind === 'upload' ? 'being uploaded' : `subject to a ${holder.kind}`;
  return new SftpError(
    SftpStatus.failure,
    `the file is ${what} by ${holder.username} in another session since ${holder.createdAt.toISOString()}; try again later`,
  );
}
