import type { ServiceBusClient, ServiceBusSender } from '@azure/service-bus';
import { boundedClose, openClient } from './open-client.ts';
import { toStoreError } from './service-bus-error.ts';
import { RECYCLE_AFTER_MS, type ServiceBusOptions } from './service-bus-options.ts';

interface Connected {
  readonly client: ServiceBusClient;
  readonly sender: ServiceBusSender;
  readonly openedAt: number;
  users: number;
  retired: boolean;
}

/**
 * Holds the one sender in use. It is replaced after 30 minutes and after every failure that may be its own; the old client is closed when its last
 * user has left it.
 */
export class SenderSlot {
  readonly #options: ServiceBusOptions;
  #current: Connected | undefined;

  constructor(options: ServiceBusOptions) {
    this.#options = options;
  }

  /** Runs `use` with the sender and passes its error on. */
  async use<Result>(use: (sender: ServiceBusSender) => Promise<Result>): Promise<Result> {
    const connected = this.#acquire();
    connected.users++;
    try {
      return await use(connected.sender);
    } catch (error) {
      // The connection is sound when the broker said "slower" or "not this message" over it.
      const { code } = toStoreError(error, 'send');
      if (code !== 'throttled' && code !== 'invalid') this.#retire(connected);
      throw error;
    } finally {
      connected.users--;
      this.#closeIfUnused(connected);
    }
  }

  async close(): Promise<void> {
    const connected = this.#current;
    this.#current = undefined;
    if (connected === undefined) return;
    connected.retired = true;
    await boundedClose(connected.client.close());
  }

  #acquire(): Connected {
    const { recycleAfterMs = RECYCLE_AFTER_MS } = this.#options;
    if (this.#current !== undefined && performance.now() - this.#current.openedAt > recycleAfterMs) this.#retire(this.#current);
    if (this.#current !== undefined) return this.#current;
    const client = openClient(this.#options, 0);
    const sender = client.createSender(this.#options.queue);
    this.#current = { client, sender, openedAt: performance.now(), users: 0, retired: false };
    return this.#current;
  }

  #retire(connected: Connected): void {
    if (this.#current === connected) this.#current = undefined;
    if (connected.retired) return;
    connected.retired = true;
    this.#closeIfUnused(connected);
  }

  #closeIfUnused(connected: Connected): void {
    if (connected.retired && connected.users === 0) void boundedClose(connected.client.close());
  }
}
