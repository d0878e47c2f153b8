import type { DeliveryHistory, RouteCountDelta } from '@skiff/database/delivery-history';
import type { DeliveryResult } from '@skiff/database/delivery-log';
import type { Logger } from '@skiff/runtime/logger';

export interface RouteCountersProps {
  readonly endpointId: number;
  /** Undefined: nobody counts. */
  readonly history: Pick<DeliveryHistory, 'addCounts'> | undefined;
  readonly logger: Logger;
  /** One write in so long, whatever the load. */
  readonly flushMs: number;
}

/** Routes that are counted between two writes; outcomes of further ones are left out. */
const MAX_ROUTES = 10_000;

/** Adds up what each route delivered and what died, and writes it at a bounded rate. While the database is away, the sums wait here. */
export class RouteCounters {
  readonly #props: RouteCountersProps;
  #counts = new Map<string, { delivered: number; dead: number }>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  constructor(props: RouteCountersProps) {
    this.#props = props;
  }

  count({ route, state }: Pick<DeliveryResult, 'route' | 'state'>): void {
    if (this.#props.history === undefined || state === 'waiting') return;
    this.#add({ route, delivered: state === 'succeeded' ? 1 : 0, dead: state === 'dead' ? 1 : 0 });
    this.#schedule();
  }

  /** Writes what is left, or gives it up. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#write();
    clearTimeout(this.#timer);
  }

  #add({ route, delivered, dead }: RouteCountDelta): void {
    const known = this.#counts.get(route);
    if (known !== undefined) {
      known.delivered += delivered;
      known.dead += dead;
    } else if (this.#counts.size < MAX_ROUTES) this.#counts.set(route, { delivered, dead });
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#write();
    }, this.#props.flushMs);
  }

  async #write(): Promise<void> {
    const { history, endpointId, logger } = this.#props;
    if (history === undefined || this.#counts.size === 0) return;
    const deltas = [...this.#counts].map(([route, sums]) => ({ route, ...sums }));
    this.#counts = new Map();
    try {
      await history.addCounts(endpointId, deltas);
    } catch (error) {
      logger.debug({ err: error }, 'counters of routes cannot be written; they wait');
      for (const delta of deltas) this.#add(delta);
      this.#schedule();
    }
  }
}
