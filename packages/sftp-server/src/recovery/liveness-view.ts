import type { InstanceRegistry } from '@skiff/database/operation-log';
import type { InstanceId } from '@skiff/model/upload-state';
import type { Clock } from '@skiff/runtime/clock';
import { LEASE_MS } from '../lease.ts';

/** Looks further apart than this are no watch: the database, or this process, was away in between. */
const LONGEST_GAP_MS = LEASE_MS / 2;

interface Watched {
  readonly renewals: bigint;
  /** When this value was certainly there already. */
  readonly since: number;
}

/**
 * Tells the living from the dead by their counters alone, on this process's own monotonic clock: no clock jump ends a lease. The
 * dead are those whose counter stood still under the eyes of this process for one whole lease; after an outage, in which
 * nobody could renew, the watch begins anew.
 */
export class LivenessView {
  readonly #registry: InstanceRegistry;
  readonly #clock: Clock;
  #watched = new Map<InstanceId, Watched>();
  #lookedAt: number | undefined;

  constructor(registry: InstanceRegistry, clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
  }

  /** Instances that are alive or have not been watched for a whole lease yet. */
  async living(): Promise<readonly InstanceId[]> {
    const askedAt = this.#clock.monotonicMs();
    const listed = await this.#registry.list();
    const answeredAt = this.#clock.monotonicMs();
    const watching = this.#lookedAt !== undefined && askedAt - this.#lookedAt <= LONGEST_GAP_MS;
    this.#lookedAt = answeredAt;
    const before = this.#watched;
    this.#watched = new Map(
      listed.map(({ id, renewals }) => {
        const known = before.get(id);
        return [id, watching && known?.renewals === renewals ? known : { renewals, since: answeredAt }];
      }),
    );
    return [...this.#watched].filter(([, { since }]) => askedAt - since < LEASE_MS).map(([id]) => id);
  }
}
