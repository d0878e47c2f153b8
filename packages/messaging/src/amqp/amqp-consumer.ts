import { StoreError } from '@skiff/model/store-error';
import { sleep } from '@skiff/runtime/abort';
import { backOffDelayMs } from '@skiff/runtime/retry';
import type { Message } from 'rhea';
import { endWithin } from '../end-within.ts';
import type { EventConsumer, MessageHandler, Settlement } from '../event-bus.ts';
import { RecentIds } from '../recent-ids.ts';
import { toAmqpError } from './amqp-error.ts';
import { messageIdOf, toIncomingMessage } from './amqp-message.ts';
import type { AmqpConsumerOptions } from './amqp-options.ts';
import { AmqpReceiver } from './amqp-receiver.ts';

const BACKOFF = { minDelayMs: 200, maxDelayMs: 5_000 };
/** A connection that lasted so long counts as good: the next failure starts at the shortest wait again. */
const GOOD_AFTER_MS = 10_000;
const MAX_REMEMBERED = 20_000;
const COMPLETE: Settlement = { kind: 'complete' };
const ABANDON: Settlement = { kind: 'abandon' };

/**
 * One of many competing consumers of an address. Brokers differ in what they count and in whether they detect duplicates, so that both
 * are done here as well, per process: attempts are counted by message id, and what was completed is not handled a second time.
 */
export class AmqpConsumer implements EventConsumer {
  readonly #options: AmqpConsumerOptions;
  readonly #attempts = new RecentIds<number>(MAX_REMEMBERED);
  readonly #completed = new RecentIds<true>(MAX_REMEMBERED);
  readonly #running = new Map<string, Promise<Settlement>>();
  readonly #stopping = new AbortController();
  readonly #handlers = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(options: AmqpConsumerOptions) {
    if (!Number.isInteger(options.concurrency) || options.concurrency < 1 || options.concurrency > 1_000) throw new RangeError('concurrency');
    this.#options = options;
  }

  async start(handler: MessageHandler): Promise<void> {
    if (this.#loop !== undefined) throw new StoreError({ code: 'invalid', message: 'the consumer is already started' });
    this.#loop = this.#run(handler);
  }

  async stop(signal: AbortSignal): Promise<void> {
    this.#stopping.abort();
    await endWithin(this.#loop, this.#handlers, signal);
  }

  async #run(handler: MessageHandler): Promise<void> {
    const { logger, address } = this.#options;
    const stopped = new Promise<void>((resolve) => this.#stopping.signal.addEventListener('abort', () => resolve(), { once: true }));
    for (let failures = 0; !this.#stopping.signal.aborted; ) {
      const openedAt = performance.now();
      const failure = await this.#receive(handler, stopped);
      if (failure === undefined) return;
      failures = performance.now() - openedAt > GOOD_AFTER_MS ? 1 : failures + 1;
      const waitMs = backOffDelayMs(failures, BACKOFF, Math.random);
      logger.warn({ err: toAmqpError('receive', failure), address, waitMs }, 'receiving failed, connecting again');
      await sleep(waitMs, this.#stopping.signal).catch(() => 'stopped while waiting');
    }
  }

  /** Over one connection. Undefined when it was ended by `stop`. */
  async #receive(handler: MessageHandler, stopped: Promise<void>): Promise<unknown> {
    let receiver: AmqpReceiver;
    try {
      receiver = await AmqpReceiver.open({ options: this.#options, onMessage: (message) => this.#once(handler, message) }, this.#stopping.signal);
    } catch (error) {
      return this.#stopping.signal.aborted ? undefined : error;
    }
    const failure = await Promise.race([receiver.failed, stopped.then(() => undefined)]);
    await receiver.retire();
    return failure;
  }

  /** A second copy waits for the first, and is dropped when that was completed. */
  async #once(handler: MessageHandler, message: Message): Promise<Settlement> {
    const id = messageIdOf(message);
    if (id === undefined) return this.#handle(handler, message, 1);
    for (let first = this.#running.get(id); first !== undefined; first = this.#running.get(id)) await first;
    if (this.#completed.get(id) === true) return COMPLETE;
    const attempt = (this.#attempts.get(id) ?? 0) + 1;
    this.#attempts.set(id, attempt);
    const run = this.#handle(handler, message, attempt).then((settlement) => {
      this.#running.delete(id);
      if (settlement.kind === 'complete') {
        this.#completed.set(id, true);
        this.#attempts.delete(id);
      }
      return settlement;
    });
    this.#running.set(id, run);
    return run;
  }

  /** The handler's answer, or `abandon` when it throws or the stop runs out of time. */
  async #handle(handler: MessageHandler, message: Message, attempt: number): Promise<Settlement> {
    if (this.#stopping.signal.aborted) return ABANDON;
    const { signal } = this.#handlers;
    const cut = Promise.withResolvers<Settlement>();
    const onAbort = (): void => cut.resolve(ABANDON);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([handler(toIncomingMessage(message, attempt), signal), cut.promise]);
    } catch (error) {
      this.#options.logger.error({ err: error, messageId: messageIdOf(message) }, 'message handler threw');
      return ABANDON;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}
