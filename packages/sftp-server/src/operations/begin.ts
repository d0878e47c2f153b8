import type { OperationIntent, OperationRef, OperationRow } from '@skiff/database/operation-log';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import { withDatabase } from './finish.ts';
import type { OperationContext } from './operation-context.ts';
import type { Outcome } from './outcome.ts';

const MAX_ROUNDS = 4;

/** Finishes a `committing` row that nobody owns any more; recovery's own entry, passed in to keep the two apart. */
export type Resolve = (row: OperationRow) => Promise<Outcome | undefined>;

export interface Begun {
  readonly ref: OperationRef;
  readonly sequence: bigint | null;
}

/**
 * Writes the row of an operation and takes its locks. A lock that a parked upload holds is taken from it; one that a living
 * writer holds refuses the newcomer, with the reason.
 */
export async function beginOperation(context: OperationContext, resolve: Resolve, intent: OperationIntent): Promise<Begun> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const answer = await withDatabase(context, () => context.log.begin(intent));
    if (answer === undefined) throw new SftpError(SftpStatus.failure, 'the service is busy: its database cannot be reached; try again later');
    const result = answer.value;
    if (result.kind === 'begun') return { ref: { id: intent.id, epoch: result.epoch }, sequence: result.sequence };
    if (result.holder === undefined) continue;
    await displace(context, resolve, result.holder);
  }
  throw new SftpError(SftpStatus.failure, 'the file is in use by another operation; try again');
}

async function displace(context: OperationContext, resolve: Resolve, holder: OperationRow): Promise<void> {
  if (holder.state === 'committing') {
    // Its owner, if it lives, is about to finish; if not, anybody may finish it, and must before the name can be used again.
    if (holder.owner !== null) throw inUse(holder);
    await resolve(holder);
    return;
  }
  if (holder.owner !== null) throw inUse(holder);
  const taken = await context.log.adopt(holder, context.lease.instance);
  if (taken !== undefined) await context.log.abort(taken, 'displaced by a new upload of the same name');
}

function inUse(holder: OperationRow): SftpError {
  const what = holder.kind === 'upload' ? 'being uploaded' : `subject to a ${holder.kind}`;
  return new SftpError(
    SftpStatus.failure,
    `the file is ${what} by ${holder.username} in another session since ${holder.createdAt.toISOString()}; try again later`,
  );
}
