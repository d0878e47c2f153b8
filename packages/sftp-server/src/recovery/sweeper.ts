import type { OperationRow } from '@skiff/database/operation-log';
import { displaceOpen } from '../operations/displace.ts';
import type { OperationContext } from '../operations/operation-context.ts';
import { finishOrphan } from './finish-orphan.ts';
import { lookForLateLanding } from './late-landing.ts';
import type { LivenessView } from './liveness-view.ts';

const BATCH = 100;
/** Rows worked on at a time: one whose blob answers slowly must not keep the others waiting. */
const CONCURRENCY = 8;
/** How long an unfinished upload can be resumed; well below the seven days after which the store collects its blocks. */
const EXPIRY = { newFileMs: 24 * 3_600_000, overwriteMs: 3_600_000 } as const;

/** One round of recovery for one endpoint. Rejects when the database is away; the next round starts afresh. */
export async function sweep(context: OperationContext, liveness: LivenessView): Promise<void> {
  await context.parking.drain();
  const { log, endpoint } = context;
  const living = await liveness.living();
  await each(context, await log.findOrphans(endpoint.id, living, BATCH), (row) => settleOrphan(context, row));
  await each(context, await log.findExpiredOpen(endpoint.id, EXPIRY, BATCH), (row) => displaceOpen(context, row, 'the upload was never finished'));
  await each(context, await log.findLooks(endpoint.id, BATCH), (row) => lookForLateLanding(context, row));
}

async function settleOrphan(context: OperationContext, row: OperationRow): Promise<void> {
  if (row.state === 'committing') await finishOrphan(context, row);
  // A change of attributes has nothing that somebody could go on with.
  else if (row.kind === 'setstat') await displaceOpen(context, row, 'its server ended');
  else if (row.owner !== null) await context.log.park(row);
}

/** Rows that cannot be settled stay as they are and are tried again in the next round; they keep no others waiting. */
async function each(context: OperationContext, rows: readonly OperationRow[], settle: (row: OperationRow) => Promise<unknown>): Promise<void> {
  const waiting = [...rows];
  const work = async () => {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
      try {
        await settle(row);
      } catch (error) {
        context.logger.warn({ operation: row.id, operationKind: row.kind, err: error }, 'recovery could not settle an operation yet');
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
}
