import { type AmqpConnection, openAmqpConnection } from './amqp-connection.ts';
import type { AmqpOptions } from './amqp-options.ts';
import { AmqpSender } from './amqp-sender.ts';

interface Opened {
  readonly connection: AmqpConnection;
  readonly sender: AmqpSender;
}

/** Holds the one sender in use, opened on first use for all who ask, and replaced when its link or connection has failed. */
export class AmqpSenderSlot {
  readonly #options: AmqpOptions;
  readonly #closing = new AbortController();
  #opening: Promise<Opened> | undefined;

  constructor(options: AmqpOptions) {
    this.#options = options;
  }

  /** @throws {StoreError} when none can be opened. */
  async acquire(): Promise<AmqpSender> {
    const opening = this.#opening ?? this.#open();
    this.#opening = opening;
    let opened: Opened;
    try {
      opened = await opening;
    } catch (error) {
      if (this.#opening === opening) this.#opening = undefined;
      throw error;
    }
    if (!opened.sender.failed) return opened.sender;
    if (this.#opening === opening) {
      this.#opening = undefined;
      void opened.connection.close();
    }
    return this.acquire();
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the sender is closed'));
    const opening = this.#opening;
    if (opening === undefined) return;
    const opened = await opening.catch(() => undefined);
    await opened?.connection.close();
  }

  async #open(): Promise<Opened> {
    const connection = await openAmqpConnection(this.#options, this.#closing.signal);
    try {
      return { connection, sender: await AmqpSender.open(connection.connection, this.#options.address, connection.ended) };
    } catch (error) {
      await connection.close();
      throw error;
    }
  }
}
