import { StoreError } from '@skiff/model/store-error';
import { retry } from '@skiff/runtime/retry';
import type { EventPublisher, OutgoingMessage } from '../event-bus.ts';
import { toAmqpMessage } from './amqp-message.ts';
import { type AmqpOptions, DEFAULT_MAX_BODY_BYTES } from './amqp-options.ts';
import { AmqpSenderSlot } from './amqp-sender-slot.ts';

const RETRY = { maxAttempts: 3, minDelayMs: 200, maxDelayMs: 2_000 } as const;

/**
 * Sends to one address of an AMQP 1.0 broker and waits for each message's confirmation. What fails for the moment is sent again, up to
 * three times: consumers recognise a second copy by its id.
 */
export class AmqpPublisher implements EventPublisher {
  readonly #options: AmqpOptions;
  readonly #slot: AmqpSenderSlot;

  constructor(options: AmqpOptions) {
    this.#options = options;
    this.#slot = new AmqpSenderSlot(options);
  }

  async publish(messages: readonly OutgoingMessage[], signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new StoreError({ code: 'aborted', message: 'publish was aborted', cause: signal.reason });
    const maxBodyBytes = this.#options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES;
    if (messages.some(({ body }) => body.length > maxBodyBytes)) {
      throw new StoreError({ code: 'invalid', message: `a message has more than ${maxBodyBytes} bytes` });
    }
    // All are handed over in order; the link keeps it, and confirmations come as they come.
    const outcomes = await Promise.allSettled(messages.map((message) => this.#send(message, signal)));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  close(): Promise<void> {
    return this.#slot.close();
  }

  #send(message: OutgoingMessage, signal: AbortSignal): Promise<void> {
    const wire = toAmqpMessage(message);
    return retry({ ...RETRY, signal }, async () => (await this.#slot.acquire()).send(wire, signal));
  }
}
