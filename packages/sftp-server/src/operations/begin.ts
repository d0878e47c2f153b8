import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationIntent, OperationRef, OperationRow } from '@skiff/database/operation-log';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import { settleDirectories } from './directory-locks.ts';
import { displaceOpen, giveUp, inUse } from './displace.ts';
import type { OperationContext } from './operation-context.ts';
import type { Outcome } from './outcome.ts';
import { withDatabase } from './with-database.ts';

/** How long a newcomer waits for an operation of somebody alive that is about to end. */
const HOLDER_PATIENCE_MS = 5_000;
const LOOK_EVERY_MS = 100;

/** Finishes a `committing` row that nobody owns any more; recovery's own entry, passed in to keep the two apart. */
export type Resolve = (row: OperationRow) => Promise<Outcome | undefined>;

export interface Begun {
  readonly ref: OperationRef;
  readonly sequence: bigint | null;
}

export interface BeginOptions {
  /** Asked for a name that nobody has: a living upload of the same user is in the way as well. */
  readonly exclusive?: boolean;
}

interface Claim extends BeginOptions {
  readonly intent: OperationIntent;
}

export const DATABASE_AWAY = 'the service is busy: its database cannot be reached; try again later';

/**
 * Writes the row of an operation and takes its locks. A lock that a parked upload holds is taken from it, and so is that of an
 * upload of the same user: its client has lost its connection and starts again. One that another living writer holds refuses
 * the newcomer, with the reason.
 */
export async function beginOperation(context: OperationContext, resolve: Resolve, intent: OperationIntent, options: BeginOptions = {}): Promise<Begun> {
  const begun = await takeLocks(context, resolve, { intent, ...options });
  try {
    await settleDirectories(context, resolve, intent);
    return begun;
  } catch (error) {
    await giveUp(context, begun.ref, error instanceof Error ? error.message : 'the directory is in use');
    throw error;
  }
}

async function takeLocks(context: OperationContext, resolve: Resolve, { intent, exclusive = false }: Claim): Promise<Begun> {
  const deadline = context.clock.monotonicMs() + HOLDER_PATIENCE_MS;
  for (;;) {
    const answer = await withDatabase(
      context,
      () => context.log.begin(intent),
      async (late) => {
        if (late.kind === 'begun') await context.parking.park({ id: intent.id, epoch: late.epoch });
      },
    );
    if (answer === undefined) throw new SftpError(SftpStatus.failure, DATABASE_AWAY);
    const result = answer.value;
    if (result.kind === 'begun') return { ref: { id: intent.id, epoch: result.epoch }, sequence: result.sequence };
    const { holder } = result;
    const settled = holder === undefined || (await displace(context, resolve, { holder, intent, exclusive }));
    if (settled) continue;
    if (context.clock.monotonicMs() >= deadline) throw inUse(holder);
    await sleep(LOOK_EVERY_MS);
  }
}

/** Whether it is worth trying again at once. @throws {SftpError} when the holder is not to be displaced. */
async function displace(
  context: OperationContext,
  resolve: Resolve,
  { holder, intent, exclusive }: Claim & { readonly holder: OperationRow },
): Promise<boolean> {
  if (holder.state === 'committing') {
    // Its owner, if it lives, is about to finish; if not, anybody may finish it, and must before the name can be used again.
    if (holder.owner !== null) return false;
    await resolve(holder);
    return (await context.log.find(holder.id))?.state !== 'committing';
  }
  const sameUser = holder.username === intent.username && holder.endpointId === intent.endpointId;
  const startsAgain = sameUser && holder.kind === 'upload' && intent.kind === 'upload' && exclusive !== true;
  if (holder.owner !== null && !startsAgain) {
    if (holder.kind === 'setstat') return false;
    throw inUse(holder);
  }
  await displaceOpen(context, holder, startsAgain ? 'started again by its user' : 'displaced by another operation on the same name');
  return true;
}
