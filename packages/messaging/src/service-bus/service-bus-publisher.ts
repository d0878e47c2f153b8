import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceBusSender } from '@azure/service-bus';
import { StoreError } from '@skiff/model/store-error';
import { backOffDelayMs } from '@skiff/runtime/retry';
import type { EventPublisher, OutgoingMessage } from '../event-bus.ts';
import { MessagesRefusedError } from '../messages-refused-error.ts';
import { OneByOne } from '../one-by-one.ts';
import { groupBySession, idProblem, sendAlone, sendInBatches, withSession } from './send-in-batches.ts';
import { SenderSlot } from './sender-slot.ts';
import { toStoreError } from './service-bus-error.ts';
import type { ServiceBusOptions } from './service-bus-options.ts';

const ATTEMPTS = 3;
const BACKOFF = { minDelayMs: 100, maxDelayMs: 2_000 };
const PUBLISH_TIMEOUT_MS = 30_000;
/** Doubles with each attempt. A link that the broker detaches under a send leaves the SDK waiting: better a new connection soon. */
const FIRST_ATTEMPT_TIMEOUT_MS = 3_000;
const PARALLEL_GROUPS = 8;

export interface ServiceBusPublisherOptions extends ServiceBusOptions {
  /** The queue requires sessions. */
  readonly sessions?: boolean;
}

/**
 * Sends to a Service Bus queue and waits for the broker's confirmation. A send that failed is tried three times within 30 s,
 * each time over a new connection; the queue's duplicate detection drops what had arrived after all.
 */
export class ServiceBusPublisher implements EventPublisher {
  readonly #options: ServiceBusPublisherOptions;
  readonly #slot: SenderSlot;
  /** A broker may end the link for one message that is too large. */
  readonly #aside: SenderSlot;
  readonly #oneByOne = new OneByOne<OutgoingMessage>((message, stop) =>
    this.#attempt(this.#aside, stop, (sender, signal) => sendAlone(sender, message, signal)),
  );
  readonly #closing = new AbortController();

  constructor(options: ServiceBusPublisherOptions) {
    this.#options = options;
    this.#slot = new SenderSlot(options);
    this.#aside = new SenderSlot(options);
  }

  async publish(messages: readonly OutgoingMessage[], signal: AbortSignal): Promise<void> {
    if (this.#closing.signal.aborted) throw new StoreError({ code: 'aborted', message: 'the publisher is closed' });
    const timeout = AbortSignal.timeout(PUBLISH_TIMEOUT_MS);
    const stop = AbortSignal.any([signal, timeout, this.#closing.signal]);
    const refused = new Map<string, string>();
    for (const message of messages) {
      const problem = idProblem(message);
      if (problem !== undefined) refused.set(message.messageId, problem);
    }
    const sendable = messages.filter(({ messageId }) => !refused.has(messageId));
    const groups = groupBySession(this.#options.sessions === true ? sendable.map(withSession) : sendable);
    const suspects: OutgoingMessage[] = [];
    const sendNext = async (): Promise<void> => {
      for (let group = groups.shift(); group !== undefined; group = groups.shift()) suspects.push(...(await this.#sendGroup(group, stop)));
    };
    try {
      await Promise.all(Array.from({ length: Math.min(PARALLEL_GROUPS, groups.length) }, sendNext));
      for (const [id, reason] of await this.#oneByOne.send(suspects, stop)) refused.set(id, reason);
    } catch (error) {
      groups.length = 0;
      const failure = toStoreError(error, 'publish', stop);
      throw timeout.aborted && !signal.aborted && failure.code === 'aborted' ? timedOut(failure) : failure;
    }
    if (refused.size > 0) throw new MessagesRefusedError(refused);
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the publisher is closed'));
    await Promise.all([this.#slot.close(), this.#aside.close()]);
  }

  /** Returns those that may be refused: what is too large for a batch, or a whole group that the broker has refused. */
  async #sendGroup(group: readonly OutgoingMessage[], stop: AbortSignal): Promise<readonly OutgoingMessage[]> {
    try {
      return await this.#attempt(this.#slot, stop, (sender, signal) => sendInBatches(sender, group, signal));
    } catch (error) {
      if (error instanceof StoreError && error.code === 'invalid') return group;
      throw error;
    }
  }

  async #attempt<Result>(slot: SenderSlot, stop: AbortSignal, send: (sender: ServiceBusSender, signal: AbortSignal) => Promise<Result>): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      stop.throwIfAborted();
      const attemptSignal = AbortSignal.any([stop, AbortSignal.timeout(FIRST_ATTEMPT_TIMEOUT_MS * 2 ** (attempt - 1))]);
      try {
        return await slot.use((sender) => send(sender, attemptSignal));
      } catch (error) {
        const failure = toStoreError(error, 'publish', stop);
        // A throttled namespace wants fewer calls: the caller waits and tries again.
        if (attempt === ATTEMPTS || failure.code !== 'unavailable') throw failure;
        this.#options.logger.debug({ err: failure, attempt, queue: this.#options.queue }, 'send failed, trying again');
        await delay(backOffDelayMs(attempt, BACKOFF, Math.random), undefined, { signal: stop });
      }
    }
  }
}

function timedOut(cause: StoreError): StoreError {
  return new StoreError({ code: 'unavailable', message: `publish: not confirmed within ${PUBLISH_TIMEOUT_MS} ms`, cause });
}
