import type { OperationRow } from '@skiff/database/operation-log';
import { UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import { displaceOpen } from '../operations/displace.ts';
import type { OperationContext } from '../operations/operation-context.ts';
import { finishOrphan } from './finish-orphan.ts';

const STORE_TIMEOUT_MS = 10_000;

/**
 * Looks whether a request of an operation that was given up has reached the store after all (DESIGN P2.7). If so the operation
 * gets its event, under its lock and with a fresh sequence, since others may have used the name meanwhile.
 */
export async function lookForLateLanding(context: OperationContext, row: OperationRow): Promise<void> {
  const present = await context.store.stat(row.targetBlobName ?? row.blobName, AbortSignal.timeout(STORE_TIMEOUT_MS));
  if (present?.metadata[UPLOAD_METADATA_KEY] !== row.id) {
    await context.log.looked(row.id);
    return;
  }
  const answer = await context.log.revive(row, context.lease.instance);
  if (answer.kind === 'locked') {
    // A parked upload gives way to any other writer. For a living one this look does not count: the next round looks again.
    if (answer.holder?.state === 'open' && answer.holder.owner === null) await displaceOpen(context, answer.holder, 'displaced by a version that came late');
    return;
  }
  if (answer.kind === 'gone') return;
  const revived = await context.log.find(row.id);
  if (revived === undefined) return;
  context.logger.warn({ operation: row.id, blob: row.blobName, user: row.username }, 'a file that was given up has landed late, its event goes out now');
  await finishOrphan(context, revived);
}
