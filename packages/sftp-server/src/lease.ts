import type { InstanceRegistry } from '@skiff/database/operation-log';
import type { InstanceId } from '@skiff/model/upload-state';
import type { Clock } from '@skiff/runtime/clock';
import type { Logger } from '@skiff/runtime/logger';

/** After this long without a renewal others may take this process's uploads over. */
export const LEASE_MS = 15_000;
export const RENEW_EVERY_MS = 3_000;
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

/** Registers the instance. Keep it alive with {@link Lease.renew} every {@link RENEW_EVERY_MS}. */
export async function acquireLease(props: LeaseProps): Promise<Lease> {
  let renewedAt = props.clock.monotonicMs();
  await props.registry.register(props.instance, props.mode);
  return {
    instance: props.instance,
    remainingMs: () => renewedAt + LEASE_MS - props.clock.monotonicMs(),
    async renew() {
      const startedAt = props.clock.monotonicMs();
      if (!(await props.registry.renew(props.instance))) {
        // Declared dead while it lived (a long pause, a database restored). Its rows may have been adopted: their epochs have
        // moved on, so going on under the same name is safe.
        props.logger.warn({ instance: props.instance }, 'instance was declared dead, registering again');
        await props.registry.register(props.instance, props.mode);
      }
      renewedAt = startedAt;
    },
  };
}
