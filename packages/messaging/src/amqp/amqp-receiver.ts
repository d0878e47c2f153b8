import type { EventContext, Message, Receiver } from 'rhea';
import type { Settlement } from '../event-bus.ts';
import { type AmqpConnection, openAmqpConnection } from './amqp-connection.ts';
import { toDeadLetter } from './amqp-message.ts';
import type { AmqpConsumerOptions } from './amqp-options.ts';
import { AmqpSender } from './amqp-sender.ts';

export interface AmqpReceiverProps {
  readonly options: AmqpConsumerOptions;
  readonly onMessage: (message: Message) => Promise<Settlement>;
}

/** One connection with one receiving link. The link is the lock: what is not settled when it ends comes again. */
export class AmqpReceiver {
  readonly #props: AmqpReceiverProps;
  readonly #connection: AmqpConnection;
  readonly #link: Receiver;
  readonly #running = new Set<Promise<void>>();
  readonly #failed = Promise.withResolvers<Error>();
  #deadLetters: Promise<AmqpSender> | undefined;
  #retiring = false;
  /** Messages asked for that have not come. */
  #granted = 0;
  /** Messages that may be asked for. */
  #owed = 0;

  private constructor(props: AmqpReceiverProps, connection: AmqpConnection) {
    this.#props = props;
    this.#connection = connection;
    this.#link = connection.connection.open_receiver({ source: { address: props.options.address }, credit_window: 0, autoaccept: false, autosettle: true });
    const fail = (error: unknown): void => this.#failed.resolve(error instanceof Error ? error : new Error(descriptionOf(error)));
    this.#link.on('receiver_error', () => fail(this.#link.error));
    this.#link.on('receiver_close', () => fail(this.#link.error));
    this.#link.session.on('session_error', () => fail(this.#link.session.error));
    this.#link.on('message', (event: EventContext) => this.#receive(event));
    this.#link.on('receiver_open', () => {
      this.#grant(props.options.concurrency);
    });
    void connection.ended.then(fail);
  }

  /** @throws {StoreError} when the broker cannot be reached. */
  static async open(props: AmqpReceiverProps, signal: AbortSignal): Promise<AmqpReceiver> {
    return new AmqpReceiver(props, await openAmqpConnection(props.options, signal));
  }

  /** Resolves with why link or connection ended. */
  get failed(): Promise<Error> {
    return this.#failed.promise;
  }

  /** Takes no more messages, lets the running handlers end and settle, then closes. */
  async retire(): Promise<void> {
    this.#retiring = true;
    while (this.#running.size > 0) await Promise.all(this.#running);
    if (this.#link.is_open()) this.#link.close();
    await this.#connection.close();
  }

  #receive({ delivery, message }: EventContext): void {
    if (delivery === undefined || message === undefined) return;
    this.#granted = Math.max(0, this.#granted - 1);
    if (this.#retiring) {
      delivery.release();
      return;
    }
    const run = this.#handle(message, delivery).finally(() => {
      this.#running.delete(run);
      this.#grant(1);
    });
    this.#running.add(run);
    this.#grant(0);
  }

  /**
   * Asks for `more` messages as soon as all that were asked for have come: RabbitMQ 3.10 takes new credit for the whole, and would send
   * too many while others are on their way.
   */
  #grant(more: number): void {
    this.#owed += more;
    if (this.#granted > 0 || this.#owed === 0 || this.#retiring || !this.#link.is_open()) return;
    this.#granted = this.#owed;
    this.#owed = 0;
    this.#link.add_credit(this.#granted);
  }

  async #handle(message: Message, delivery: NonNullable<EventContext['delivery']>): Promise<void> {
    const settlement = await this.#props.onMessage(message);
    // A link that is gone has given the message back.
    if (!this.#link.is_open()) return;
    switch (settlement.kind) {
      case 'complete':
        return delivery.accept();
      case 'abandon':
        return delivery.release();
      case 'deadLetter':
        if (await this.#setAside(message, settlement)) delivery.accept();
        else if (this.#props.options.deadLetterAddress !== undefined) delivery.release();
        else delivery.reject({ condition: `skiff:${settlement.reason}`, description: settlement.description });
    }
  }

  /** The copy is confirmed before the message goes. */
  async #setAside(message: Message, { reason, description }: { readonly reason: string; readonly description: string }): Promise<boolean> {
    const { deadLetterAddress, logger } = this.#props.options;
    if (deadLetterAddress === undefined) return false;
    try {
      this.#deadLetters ??= AmqpSender.open(this.#connection.connection, deadLetterAddress, this.#connection.ended);
      const sender = await this.#deadLetters;
      await sender.send(toDeadLetter(message, reason, description), AbortSignal.timeout(10_000));
      return true;
    } catch (error) {
      this.#deadLetters = undefined;
      logger.warn({ err: error, address: deadLetterAddress }, 'message cannot be set aside, it goes back');
      return false;
    }
  }
}

function descriptionOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'description' in error && typeof error.description === 'string') return error.description;
  return 'the broker has closed the link';
}
