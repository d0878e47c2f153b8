import type { InstanceRegistry, OperationRow } from '@skiff/database/operation-log';
import { isTransient } from '@skiff/model/store-error';
import type { InstanceId } from '@skiff/model/upload-state';
import type { Clock } from '@skiff/runtime/clock';
import { LEASE_MS } from '../lease.ts';
import type { OperationContext } from '../operations/operation-context.ts';
import { finishOrphan } from './finish-orphan.ts';

const BATCH = 100;
/** How long an unfinished upload can be resumed; well below the seven days after which the store collects its blocks. */
const EXPIRY = { newFileMs: 24 * 3_600_000, overwriteMs: 3_600_000 } as const;

/** Tells the living from the dead by their counters alone, on this process's own monotonic clock: no clock jump ends a lease. */
export class LivenessView {
  readonly #registry: InstanceRegistry;
  readonly #clock: Clock;
  readonly #seen = new Map<InstanceId, { renewals: bigint; changedAt: number }>();

  constructor(registry: InstanceRegistry, clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
  }

  /** Instances that are alive or have not been watched for a whole lease yet. */
  async living(): Promise<readonly InstanceId[]> {
    const now = this.#clock.monotonicMs();
    const listed = await this.#registry.list();
    const known = new Set(listed.map((instance) => instance.id));
    for (const id of this.#seen.keys()) if (!known.has(id)) this.#seen.delete(id);
    const living: InstanceId[] = [];
    for (const { id, renewals } of listed) {
      const last = this.#seen.get(id);
      if (last === undefined || last.renewals !== renewals) this.#seen.set(id, { renewals, changedAt: now });
      if (last === undefined || last.renewals !== renewals || now - last.changedAt < LEASE_MS) living.push(id);
    }
    return living;
  }
}

/** One round of recovery for one endpoint. Rejects when the database is away; the next round starts afresh. */
export async function sweep(context: OperationContext, liveness: LivenessView): Promise<void> {
  await context.parking.drain();
  const living = await liveness.living();
  for (const row of await context.log.findOrphans(context.endpoint.id, living, BATCH)) {
    if (row.state === 'committing') await finishOne(context, row);
    else if (row.owner !== null) await context.log.park(row);
  }
  for (const row of await context.log.findExpiredOpen(context.endpoint.id, EXPIRY, BATCH)) {
    const ref = await context.log.adopt(row, context.lease.instance);
    if (ref !== undefined) await context.log.abort(ref, 'the upload was never finished');
  }
}

/** One row that cannot be finished must not keep the others waiting; it stays parked and is tried again in the next round. */
async function finishOne(context: OperationContext, row: OperationRow): Promise<void> {
  try {
    await finishOrphan(context, row);
  } catch (error) {
    if (isTransient(error)) throw error;
    context.logger.error({ operation: row.id, err: error }, 'recovery could not finish an operation');
  }
}
