import type { DeliveryHistory } from '@skiff/database/delivery-history';
import type { DeliveryResult } from '@skiff/database/delivery-log';
import type { Logger } from '@skiff/runtime/logger';

export interface RouteCountersProps {
  readonly endpointId: number;
  /** Undefined: nobody counts. */
  readonly history: Pick<DeliveryHistory, 'addCounts'> | undefined;
  readonly logger: Logger;
  readonly monotonicMs: () => number;
  /** One write in so long, whatever the load. */
  readonly flushMs: number;
}

/** Routes that are counted between two writes; outcomes of further ones are left out. */
const MAX_ROUTES = 10_000;

interface Sums {
  delivered: number;
  died: number;
  failure?: { readonly reason: string; readonly atMs: number };
}

/** Adds up what each route delivered and what died, and writes it at a bounded rate. While the database is away, the sums wait here. */
export class RouteCounters {
  readonly #props: RouteCountersProps;
  #sums = new Map<string, Sums>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  constructor(props: RouteCountersProps) {
    this.#props = props;
  }

  count({ route, state }: Pick<DeliveryResult, 'route' | 'state'>): void {
    if (state === 'waiting') return;
    this.#change(route, (sums) => {
      if (state === 'succeeded') sums.delivered += 1;
      else sums.died += 1;
    });
  }

  /** An attempt at a target failed. */
  failed(route: string, target: string, reason: string): void {
    this.#change(route, (sums) => {
      sums.failure = { reason: `${target}: ${reason}`, atMs: this.#props.monotonicMs() };
    });
  }

  /** Writes what is left, or gives it up. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#write();
    clearTimeout(this.#timer);
  }

  #change(route: string, change: (sums: Sums) => void): void {
    if (this.#props.history === undefined) return;
    const sums = this.#sums.get(route) ?? { delivered: 0, died: 0 };
    if (!this.#sums.has(route)) {
      if (this.#sums.size >= MAX_ROUTES) return;
      this.#sums.set(route, sums);
    }
    change(sums);
    this.#schedule();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#write();
    }, this.#props.flushMs);
  }

  async #write(): Promise<void> {
    const { history, endpointId, logger, monotonicMs } = this.#props;
    if (history === undefined || this.#sums.size === 0) return;
    const written = this.#sums;
    this.#sums = new Map();
    const now = monotonicMs();
    const deltas = [...written].map(([route, { delivered, died, failure }]) => ({
      route,
      delivered,
      died,
      ...(failure === undefined ? {} : { failure: { reason: failure.reason, agoMs: now - failure.atMs } }),
    }));
    try {
      await history.addCounts(endpointId, deltas);
    } catch (error) {
      logger.debug({ err: error }, 'counters of routes cannot be written; they wait');
      for (const [route, { delivered, died, failure }] of written) {
        this.#change(route, (sums) => {
          sums.delivered += delivered;
          sums.died += died;
          if (failure !== undefined) sums.failure ??= failure;
        });
      }
    }
  }
}
