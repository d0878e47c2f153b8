import { StoreError } from '@skiff/model/store-error';
import { retry } from '@skiff/runtime/retry';
import type { EventPublisher, OutgoingMessage } from '../event-bus.ts';
import { MessagesRefusedError } from '../messages-refused-error.ts';
import { OneByOne } from '../one-by-one.ts';
import { toAmqpMessage } from './amqp-message.ts';
import { type AmqpOptions, DEFAULT_MAX_BODY_BYTES } from './amqp-options.ts';
import type { AmqpSender } from './amqp-sender.ts';
import { AmqpSenderSlot } from './amqp-sender-slot.ts';

const RETRY = { maxAttempts: 3, minDelayMs: 200, maxDelayMs: 2_000 } as const;

/**
 * Sends to one address of an AMQP 1.0 broker and waits for each message's confirmation. What fails for the moment is sent again, up to
 * three times: consumers recognise a second copy by its id. A broker may end the link, or all of the session, for one message that is too
 * large: what was under way beside it is sent again alone, over a connection of its own.
 */
export class AmqpPublisher implements EventPublisher {
  readonly #options: AmqpOptions;
  readonly #slot: AmqpSenderSlot;
  readonly #aside: AmqpSenderSlot;
  readonly #oneByOne = new OneByOne<OutgoingMessage>((message, signal) => this.#send(this.#aside, message, signal));

  constructor(options: AmqpOptions) {
    this.#options = options;
    this.#slot = new AmqpSenderSlot(options);
    this.#aside = new AmqpSenderSlot(options);
  }

  async publish(messages: readonly OutgoingMessage[], signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw aborted(signal.reason);
    const maxBodyBytes = this.#options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES;
    const fitting = messages.filter(({ body }) => body.length <= maxBodyBytes);
    const large = messages.filter((message) => !fitting.includes(message));
    // All are handed over in order; the link keeps it, and confirmations come as they come.
    const outcomes = await Promise.allSettled(fitting.map((message) => this.#send(this.#slot, message, signal)));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected' && !isInvalid(outcome.reason));
    if (failed?.status === 'rejected') throw failed.reason;
    const suspects = fitting.filter((_, index) => outcomes[index]?.status === 'rejected');
    const refused = new Map(large.map(({ messageId, body }) => [messageId, `${body.length} bytes are more than ${maxBodyBytes}`]));
    try {
      for (const [id, reason] of await this.#oneByOne.send(suspects, signal)) refused.set(id, reason);
    } catch (error) {
      throw signal.aborted ? aborted(error) : error;
    }
    if (refused.size > 0) throw new MessagesRefusedError(refused);
  }

  async close(): Promise<void> {
    await Promise.all([this.#slot.close(), this.#aside.close()]);
  }

  #send(slot: AmqpSenderSlot, message: OutgoingMessage, signal: AbortSignal): Promise<void> {
    const wire = toAmqpMessage(message);
    const { maxAttempts = RETRY.maxAttempts } = this.#options;
    return retry({ ...RETRY, maxAttempts, signal }, async () => (await opened(slot)).send(wire, signal));
  }
}

/** What a broker says of a link or an address is never the message's fault. */
async function opened(slot: AmqpSenderSlot): Promise<AmqpSender> {
  try {
    return await slot.acquire();
  } catch (error) {
    if (!isInvalid(error)) throw error;
    throw new StoreError({ code: 'unavailable', message: error.message, vendorCode: error.vendorCode, cause: error });
  }
}

function isInvalid(error: unknown): error is StoreError {
  return error instanceof StoreError && error.code === 'invalid';
}

function aborted(cause: unknown): StoreError {
  return new StoreError({ code: 'aborted', message: 'publish was aborted', cause });
}
