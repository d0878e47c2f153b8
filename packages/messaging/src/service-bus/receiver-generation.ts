import type { ProcessErrorArgs, ServiceBusClient, ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus';
import type { Settlement } from '../event-bus.ts';
import type { Generation, GenerationProps } from './generation.ts';
import { boundedClose, openClient } from './open-client.ts';

/** Longer than any handler of ours may take. */
const LOCK_RENEWAL_MS = 10 * 60_000;

/** Why a generation ended: an error of its link or connection, or its age. */
export type Ending = { readonly kind: 'failed'; readonly error: Error } | { readonly kind: 'recycled' };

/**
 * One connection with one receiver, from subscribe to close. It is never repaired: the SDK's own recovery has gaps (a receiver
 * whose first token request fails stays dead; a link whose token was not renewed once is not renewed again), so the first
 * error of the link ends the generation and the consumer opens another.
 */
export class ReceiverGeneration implements Generation {
  readonly #client: ServiceBusClient;
  readonly #receiver: ServiceBusReceiver;
  readonly #subscription: { close(): Promise<void> };
  readonly #running = new Set<Promise<void>>();
  readonly #props: GenerationProps;
  readonly #failed = Promise.withResolvers<Error>();
  #lastActivity = performance.now();
  /** Messages received. */
  received = 0;

  constructor(props: GenerationProps) {
    this.#props = props;
    this.#client = openClient(props.options, 1);
    this.#receiver = this.#client.createReceiver(props.options.queue, { maxAutoLockRenewalDurationInMs: LOCK_RENEWAL_MS, skipParsingBodyAsJson: true });
    this.#subscription = this.#receiver.subscribe(
      { processMessage: (message) => this.#process(message), processError: async (args) => this.#onError(args) },
      { autoCompleteMessages: false, maxConcurrentCalls: props.concurrency },
    );
  }

  /** Resolves with the first error of the link or connection. */
  get failed(): Promise<Error> {
    return this.#failed.promise;
  }

  /** Milliseconds since a message came or was settled; 0 while any is being handled. */
  get idleMs(): number {
    return this.#running.size > 0 ? 0 : performance.now() - this.#lastActivity;
  }

  /** Takes no more messages, lets the running handlers end and settle, then closes the connection. */
  async retire(): Promise<void> {
    await boundedClose(this.#subscription.close());
    while (this.#running.size > 0) await Promise.all(this.#running);
    await boundedClose(this.#receiver.close());
    await boundedClose(this.#client.close());
  }

  #process(message: ServiceBusReceivedMessage): Promise<void> {
    this.received++;
    const run = this.#handle(message).finally(() => {
      this.#running.delete(run);
      this.#lastActivity = performance.now();
    });
    this.#running.add(run);
    return run;
  }

  async #handle(message: ServiceBusReceivedMessage): Promise<void> {
    const settlement = await this.#props.onMessage(message);
    try {
      await this.#settle(message, settlement);
    } catch (error) {
      // The lock runs out and the message comes again: handlers are idempotent by its id.
      this.#props.options.logger.warn({ err: error, messageId: message.messageId, settlement: settlement.kind }, 'message could not be settled');
    }
  }

  async #settle(message: ServiceBusReceivedMessage, settlement: Settlement): Promise<void> {
    switch (settlement.kind) {
      case 'complete':
        return this.#receiver.completeMessage(message);
      case 'abandon':
        return this.#receiver.abandonMessage(message);
      case 'deadLetter':
        return this.#receiver.deadLetterMessage(message, { deadLetterReason: settlement.reason, deadLetterErrorDescription: settlement.description });
    }
  }

  #onError({ error, errorSource }: ProcessErrorArgs): void {
    const { logger, queue } = this.#props.options;
    logger.debug({ err: error, source: errorSource, queue }, 'receiver reported an error');
    if (errorSource === 'receive') this.#failed.resolve(error);
  }
}
