import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceBusReceivedMessage } from '@azure/service-bus';
import { StoreError } from '@skiff/model/store-error';
import { backOffDelayMs } from '@skiff/runtime/retry';
import { endWithin } from '../end-within.ts';
import type { EventConsumer, MessageHandler, Settlement } from '../event-bus.ts';
import type { Generation } from './generation.ts';
import { toIncomingMessage } from './incoming-message.ts';
import { type Ending, ReceiverGeneration } from './receiver-generation.ts';
import { toStoreError } from './service-bus-error.ts';
import { RECYCLE_AFTER_MS, type ServiceBusOptions } from './service-bus-options.ts';
import { SessionGeneration } from './session-generation.ts';
import { Slots } from './slots.ts';

/** A link that is silent for so long may be dead without anybody having said so. Reconnecting is cheap. */
const RECYCLE_IDLE_AFTER_MS = 2 * 60_000;
/** Each waits for a session by a link of its own. */
const MAX_SESSIONS = 32;
const CHECK_EVERY_MS = 5_000;
const BACKOFF = { minDelayMs: 200, maxDelayMs: 5_000 };
/** A connection that lasted so long counts as good: the next failure starts at the shortest wait again. */
const GOOD_AFTER_MS = 10_000;

export interface ServiceBusConsumerOptions extends ServiceBusOptions {
  /** Handlers at a time, 1 to 1,000; with sessions at most 32, each of which holds one session. */
  readonly concurrency: number;
  /** The queue requires sessions: the messages of one session are handled one after the other, in order, by one consumer at a time. */
  readonly sessions?: boolean;
}

/** One of many competing consumers of a Service Bus queue; opens one connection after the other for as long as it is started. */
export class ServiceBusConsumer implements EventConsumer {
  readonly #options: ServiceBusConsumerOptions;
  readonly #slots: Slots;
  readonly #stopping = new AbortController();
  readonly #handlers = new AbortController();
  readonly #retiring = new Set<Promise<void>>();
  #loop: Promise<void> | undefined;

  constructor(options: ServiceBusConsumerOptions) {
    if (!Number.isInteger(options.concurrency) || options.concurrency < 1 || options.concurrency > 1_000) throw new RangeError('concurrency');
    this.#options = options;
    this.#slots = new Slots(options.concurrency);
  }

  async start(handler: MessageHandler): Promise<void> {
    if (this.#loop !== undefined) throw new StoreError({ code: 'invalid', message: 'the consumer is already started' });
    this.#loop = this.#run(handler);
  }

  async stop(signal: AbortSignal): Promise<void> {
    this.#stopping.abort();
    await endWithin(this.#drained(), this.#handlers, signal);
  }

  async #drained(): Promise<void> {
    await this.#loop;
    await Promise.all(this.#retiring);
  }

  async #run(handler: MessageHandler): Promise<void> {
    const { logger, queue } = this.#options;
    for (let failures = 0; !this.#stopping.signal.aborted; ) {
      const openedAt = performance.now();
      const ending = await this.#runGeneration(handler);
      if (ending.kind === 'recycled') continue;
      failures = performance.now() - openedAt > GOOD_AFTER_MS ? 1 : failures + 1;
      const waitMs = backOffDelayMs(failures, BACKOFF, Math.random);
      logger.warn({ err: toStoreError(ending.error, 'receive'), queue, waitMs }, 'receiving failed, connecting again');
      await delay(waitMs, undefined, { signal: this.#stopping.signal }).catch(() => 'stopped while waiting');
    }
  }

  /** Until it fails, is old, is silent or the consumer stops. What it still handles goes on while the next one begins. */
  async #runGeneration(handler: MessageHandler): Promise<Ending> {
    const { sessions = false, concurrency } = this.#options;
    let generation: Generation;
    try {
      const props = { options: this.#options, onMessage: (message: ServiceBusReceivedMessage) => this.#handle(handler, message) };
      generation = sessions
        ? new SessionGeneration({ ...props, concurrency: Math.min(concurrency, MAX_SESSIONS) })
        : new ReceiverGeneration({ ...props, concurrency });
    } catch (error) {
      return { kind: 'failed', error: toStoreError(error, 'receive') };
    }
    const ended = new AbortController();
    const recycled = this.#whenDue(generation, ended.signal).then((): Ending => ({ kind: 'recycled' }));
    const ending = await Promise.race([generation.failed.then((error): Ending => ({ kind: 'failed', error })), recycled]);
    ended.abort();
    const retired = generation.retire().finally(() => this.#retiring.delete(retired));
    this.#retiring.add(retired);
    return ending;
  }

  async #whenDue(generation: Generation, ended: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([this.#stopping.signal, ended]);
    const { recycleAfterMs = RECYCLE_AFTER_MS } = this.#options;
    const dueAt = performance.now() + recycleAfterMs * (1 - Math.random() / 10);
    while (!stop.aborted && performance.now() < dueAt && generation.idleMs < RECYCLE_IDLE_AFTER_MS) {
      await delay(CHECK_EVERY_MS, undefined, { signal: stop }).catch(() => 'stopped while waiting');
    }
  }

  async #handle(handler: MessageHandler, message: ServiceBusReceivedMessage): Promise<Settlement> {
    await this.#slots.acquire();
    try {
      if (this.#stopping.signal.aborted) return { kind: 'abandon' };
      return await this.#cutShort(handler(toIncomingMessage(message, this.#options.sessions === true), this.#handlers.signal));
    } catch (error) {
      this.#options.logger.error({ err: error, messageId: message.messageId }, 'message handler threw');
      return { kind: 'abandon' };
    } finally {
      this.#slots.release();
    }
  }

  /** The handler's own answer, or `abandon` once the stop has run out of time. */
  async #cutShort(handling: Promise<Settlement>): Promise<Settlement> {
    const { signal } = this.#handlers;
    const cut = Promise.withResolvers<Settlement>();
    const onAbort = (): void => cut.resolve({ kind: 'abandon' });
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([handling, cut.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}
