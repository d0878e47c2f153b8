import type { CommitPlan, OperationRef, OperationRow } from '@skiff/database/operation-log';
import type { OperationKind } from '@skiff/model/upload-state';
import { makeDirectoryEffect, removeDirectoryEffect } from '../operations/directory-effects.ts';
import { type FinishProps, finish } from '../operations/finish.ts';
import { moveDirectory } from '../operations/move-directory.ts';
import type { OperationContext } from '../operations/operation-context.ts';
import type { Outcome } from '../operations/outcome.ts';
import { removeEffect } from '../operations/remove-effect.ts';
import { renameEffect } from '../operations/rename-effect.ts';
import { commitUpload } from '../upload/upload-effect.ts';
import { findSinglePut } from './find-single-put.ts';

/** A renamed directory may have thousands of files: each round moves as many as it can in this time. */
const SLICE_MS = 5_000;

/** A late request of these makes a file appear that carries the operation's id. */
const MAKES_FILES: ReadonlySet<OperationKind> = new Set<OperationKind>(['upload', 'rename', 'mkdir']);

/**
 * Finishes a `committing` row that its owner left behind, by the very plan the owner wrote down: own id or success leads to
 * `committed` and the event goes out; a file changed by others, or parts that are gone, lead to `aborted` without an event,
 * for the client was never told that it succeeded. `undefined`: somebody else was faster.
 */
export async function finishOrphan(context: OperationContext, row: OperationRow): Promise<Outcome | undefined> {
  const goOn = row.state === 'committing' ? continuationOf(context, row) : undefined;
  if (goOn === undefined) return undefined;
  const ref = await context.log.adopt(row, context.lease.instance);
  if (ref === undefined) return undefined;
  const outcome = await goOn(ref);
  context.logger.info({ operation: row.id, operationKind: row.kind, outcome: outcome.kind, user: row.username }, 'recovery finished an operation');
  return outcome;
}

/** How to go on by what was written down; `undefined`: not enough was. */
function continuationOf(context: OperationContext, row: OperationRow): ((ref: OperationRef) => Promise<Outcome>) | undefined {
  const { id, plan, blobName, targetBlobName, priorEtag, kind } = row;
  if (kind === 'renamedir') {
    if (targetBlobName === null) return undefined;
    return (ref) => moveDirectory(context, ref, { id, source: blobName, target: targetBlobName, sliceMs: SLICE_MS });
  }
  if (plan === null) return undefined;
  const attempt = attemptOf(context, row, plan);
  return (ref) => finish(context, ref, { live: false, priorEtag, mayLandLate: MAKES_FILES.has(kind), eventType: plan.event.type, attempt });
}

function attemptOf(context: OperationContext, row: OperationRow, plan: CommitPlan): FinishProps['attempt'] {
  const { store, failpoints } = context;
  const { id, blobName: name } = row;
  switch (row.kind) {
    case 'upload':
      if (plan.blocks.length === 0 && plan.sizeBytes > 0) return (priorEtag, signal) => findSinglePut(store, { id, name, priorEtag }, signal);
      return (priorEtag, signal) =>
        commitUpload(
          { store, id, name, blocks: plan.blocks, metadata: plan.metadata, ...(plan.sizeBytes === 0 ? { content: { parts: [], sizeBytes: 0 } } : {}) },
          priorEtag,
          signal,
        );
    case 'remove':
      return removeEffect({ store, name, replay: true, failpoints });
    case 'rename':
      if (row.targetBlobName === null || plan.sourceEtag === undefined) return () => Promise.resolve({ kind: 'impossible', reason: 'incomplete record' });
      return renameEffect({ store, id, source: name, sourceEtag: plan.sourceEtag, target: row.targetBlobName, metadata: plan.metadata, failpoints });
    case 'mkdir':
      return makeDirectoryEffect({ store, id, name, metadata: plan.metadata });
    case 'rmdir':
      return removeDirectoryEffect({ store, name, replay: true });
    case 'renamedir':
    case 'setstat':
      return () => Promise.resolve({ kind: 'impossible', reason: 'nothing to finish' });
  }
}
