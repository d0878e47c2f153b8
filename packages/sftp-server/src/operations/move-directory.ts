import type { OperationRef } from '@skiff/database/operation-log';
import { StoreError } from '@skiff/model/store-error';
import { DATABASE_LOST, DirectoryMove, type DirectoryMoveProps } from './directory-move.ts';
import { abort, finishedByOthers, park } from './finish.ts';
import type { OperationContext } from './operation-context.ts';
import { type Outcome, reasonOf } from './outcome.ts';
import { withDatabase } from './with-database.ts';

export interface MoveDirectoryProps extends DirectoryMoveProps {
  /**
   * Looks, with the locks held, whether the directory can be moved; returns why not. Recovery has none: what was not begun by its
   * owner never is.
   */
  readonly check?: (signal: AbortSignal) => Promise<string | undefined>;
}

const CHECK_TIMEOUT_MS = 60_000;

/**
 * Renames a directory (DESIGN P2.9), under the locks on both names and with nothing under way below either. First it is
 * written down that files are being moved; from there on there is only forward: whatever still lies at the old name is moved,
 * by this process or by any other that finds the row, until nothing is left there. What to do is read from the store each time, so
 * that no list of files has to be kept.
 */
export async function moveDirectory(context: OperationContext, ref: OperationRef, props: MoveDirectoryProps): Promise<Outcome> {
  try {
    const journal = await withDatabase(context, () => context.log.movedFiles(ref.id));
    if (journal === undefined) return await park(context, ref, DATABASE_LOST);
    if (journal.value === undefined) {
      const refusal = await refusalOf(props);
      if (refusal !== undefined) return await abort(context, ref, { reason: refusal, lookAgain: false });
      const begun = await withDatabase(context, () => context.log.advanceRename(ref, 0));
      if (begun === undefined) return await park(context, ref, DATABASE_LOST);
      if (!begun.value) return await finishedByOthers(context, ref);
      await context.failpoints.hit('renamedir.journalled');
    }
    return await new DirectoryMove(context, ref, props, journal.value ?? 0).run();
  } catch (error) {
    await context.parking.park(ref);
    throw error;
  }
}

async function refusalOf({ check }: MoveDirectoryProps): Promise<string | undefined> {
  if (check === undefined) return 'its server ended before anything was moved';
  try {
    return await check(AbortSignal.timeout(CHECK_TIMEOUT_MS));
  } catch (error) {
    if (error instanceof StoreError) return `nothing was moved: ${reasonOf(error)}`;
    throw error;
  }
}
