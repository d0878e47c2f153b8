import type { InstanceRegistry } from '@skiff/database/operation-log';
import type { InstanceId } from '@skiff/model/upload-state';
import { startBackgroundTask } from '@skiff/runtime/background-task';
import type { Clock } from '@skiff/runtime/clock';
import type { Logger } from '@skiff/runtime/logger';

/** After this long without a renewal others may take this process's uploads over. */
export const LEASE_MS = 15_000;
const RENEW_EVERY_MS = 3_000;
/** A commit is sent only with this much of the lease left, and gives up before it ends. */
export const COMMIT_BUDGET_MS = 10_000;

/**
 * This process's right to finish what it has begun. The counter in the database is what others watch, each on its own
 * monotonic clock; `remainingMs` is this side's view, counted from before the renewal was sent, so that it is never longer.
 */
export interface Lease {
  readonly instance: InstanceId;
  /** Milliseconds for which nobody may regard this process as dead. Not positive: commit nothing. */
  remainingMs(): number;
  /** Renews at once; rejects when the database is away. */
  renew(): Promise<void>;
}

export interface LeaseProps {
  readonly instance: InstanceId;
  readonly mode: string;
  readonly registry: InstanceRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface LiveLease {
  readonly lease: Lease;
  /** Signs off: what this process has left behind can be taken over at once. Nothing remains of the lease then, even if nobody can be told. */
  release(): Promise<void>;
}

/** Registers the instance and keeps it alive until the lease is released. */
export async function keepLease(props: LeaseProps): Promise<LiveLease> {
  const { registry, logger } = props;
  const held = new AbortController();
  const lease = await acquireLease(props, held.signal);
  const renewal = startBackgroundTask({ name: 'lease', intervalMs: RENEW_EVERY_MS, maxPauseMs: RENEW_EVERY_MS, logger, run: () => lease.renew() });
  return {
    lease,
    async release() {
      held.abort(new Error('the lease was given back'));
      await renewal.stop();
      try {
        await registry.remove(lease.instance);
      } catch (error) {
        logger.warn({ err: error }, 'could not sign off; the lease runs out by itself');
      }
    },
  };
}

/** Lasts no longer than `held`. */
async function acquireLease(props: LeaseProps, held: AbortSignal): Promise<Lease> {
  let renewedAt = props.clock.monotonicMs();
  await props.registry.register(props.instance, props.mode);
  return {
    instance: props.instance,
    remainingMs: () => (held.aborted ? 0 : renewedAt + LEASE_MS - props.clock.monotonicMs()),
    async renew() {
      held.throwIfAborted();
      const startedAt = props.clock.monotonicMs();
      if (!(await props.registry.renew(props.instance)) && !held.aborted) {
        // Declared dead while it lived (a long pause, a database restored). Its rows may have been adopted: their epochs have
        // moved on, so going on under the same name is safe.
        props.logger.warn({ instance: props.instance }, 'instance was declared dead, registering again');
        await props.registry.register(props.instance, props.mode);
      }
      renewedAt = startedAt;
    },
  };
}
