import type { ProcessErrorArgs, ServiceBusClient, ServiceBusReceivedMessage, ServiceBusSessionReceiver } from '@azure/service-bus';
import { pause } from '@skiff/runtime/abort';
import type { Generation, GenerationProps } from './generation.ts';
import { boundedClose, endWaits, openClient } from './open-client.ts';
import { toStoreError } from './service-bus-error.ts';

/** Longer than a session is held. */
const LOCK_RENEWAL_MS = 10 * 60_000;
/** A session is given back after so many messages or so long: there may be more sessions than receivers. */
const MESSAGES_PER_TURN = 100;
const TURN_MS = 30_000;
/** How long an empty session is kept: the next event of a path often follows soon. */
const LINGER_MS = 250;
/** The same while more than half of the receivers have a session: others may wait. Longer than the next message takes to come. */
const BUSY_LINGER_MS = 20;
/** A session is given out for its messages: the first is on its way. */
const FIRST_MESSAGE_MS = 5_000;
/** After a wait for a session that ended sooner than it should. */
const PAUSE_MS = 500;
/** Nothing to do just now: no session has messages, or others have them. */
const NO_SESSION = new Set(['ServiceTimeout', 'SessionCannotBeLocked', 'OperationTimeoutError']);

/**
 * One connection with several receivers, each of which holds one session at a time and handles its messages one after the other, in order.
 * The lock on a session keeps all other consumers away from it. Like a `ReceiverGeneration` it is never repaired.
 */
export class SessionGeneration implements Generation {
  readonly #client: ServiceBusClient;
  readonly #props: GenerationProps;
  readonly #failed = Promise.withResolvers<Error>();
  readonly #retiring = new AbortController();
  readonly #turns = new Set<Promise<unknown>>();
  readonly #receivers: Promise<unknown>;
  #lastActivity = performance.now();
  #busy = 0;

  constructor(props: GenerationProps) {
    this.#props = props;
    this.#client = openClient(props.options, 0);
    this.#receivers = Promise.all(Array.from({ length: props.concurrency }, () => this.#receive()));
  }

  /** Resolves with the first error of a link or connection. */
  get failed(): Promise<Error> {
    return this.#failed.promise;
  }

  /** Milliseconds since a message came or was settled; 0 while any is being handled. */
  get idleMs(): number {
    return this.#busy > 0 ? 0 : performance.now() - this.#lastActivity;
  }

  /** Takes no more sessions and messages, lets the running handlers end and settle, then closes the connection. */
  async retire(): Promise<void> {
    this.#retiring.abort(new Error('the receiver is being replaced'));
    while (this.#turns.size > 0) await Promise.allSettled(this.#turns);
    await boundedClose(this.#client.close());
    endWaits(this.#client);
    await boundedClose(this.#receivers);
  }

  /** Never rejects. */
  async #receive(): Promise<void> {
    const { signal } = this.#retiring;
    while (!signal.aborted) {
      const startedAt = performance.now();
      try {
        const session = await this.#client.acceptNextSession(this.#props.options.queue, {
          abortSignal: signal,
          maxAutoLockRenewalDurationInMs: LOCK_RENEWAL_MS,
          skipParsingBodyAsJson: true,
        });
        const turn = this.#takeTurn(session).finally(() => boundedClose(session.close()));
        this.#turns.add(turn);
        await turn.finally(() => this.#turns.delete(turn));
      } catch (error) {
        if (signal.aborted) return;
        if (!NO_SESSION.has(toStoreError(error, 'receive').vendorCode ?? '')) {
          this.#failed.resolve(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        if (performance.now() - startedAt < PAUSE_MS) await pause(PAUSE_MS * (0.5 + Math.random()), signal);
      }
    }
  }

  /**
   * By a subscription with one message at a time. `receiveMessages` would be simpler, but drains the link after every call, and closes it,
   * the session with it, when the broker takes more than 200 ms to answer (7.9.5): the message at hand then comes twice.
   */
  async #takeTurn(session: ServiceBusSessionReceiver): Promise<void> {
    const { signal } = this.#retiring;
    const over = Promise.withResolvers<void>();
    const endsAt = performance.now() + TURN_MS;
    let timer = setTimeout(over.resolve, FIRST_MESSAGE_MS);
    let handled = 0;
    let left = false;
    let busy = false;
    const leave = (): void => {
      left = true;
      clearTimeout(timer);
      if (!busy) over.resolve();
    };
    const processMessage = async (message: ServiceBusReceivedMessage): Promise<void> => {
      clearTimeout(timer);
      // It goes back with the session.
      if (left) return;
      busy = true;
      const goOn = await this.#handle(session, message);
      busy = false;
      handled++;
      if (!goOn || left || handled >= MESSAGES_PER_TURN || performance.now() >= endsAt) leave();
      else timer = setTimeout(leave, this.#turns.size > this.#props.concurrency / 2 ? BUSY_LINGER_MS : LINGER_MS);
    };
    const processError = async ({ error }: ProcessErrorArgs): Promise<void> => {
      this.#props.options.logger.debug({ err: error, queue: this.#props.options.queue }, 'receiver of a session reported an error');
      leave();
    };
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    try {
      session.subscribe({ processMessage, processError }, { autoCompleteMessages: false, maxConcurrentCalls: 1 });
      await over.promise;
    } finally {
      left = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', leave);
    }
  }

  /** False when the session is to be left: what was not completed comes first again. Never rejects. */
  async #handle(session: ServiceBusSessionReceiver, message: ServiceBusReceivedMessage): Promise<boolean> {
    this.#busy++;
    try {
      const settlement = await this.#props.onMessage(message);
      switch (settlement.kind) {
        case 'complete':
          await session.completeMessage(message);
          return true;
        case 'deadLetter':
          await session.deadLetterMessage(message, { deadLetterReason: settlement.reason, deadLetterErrorDescription: settlement.description });
          return true;
        case 'abandon':
          await session.abandonMessage(message);
          return false;
      }
    } catch (error) {
      // The lock on the session is lost or will be, and the message comes again: handlers are idempotent by its id.
      this.#props.options.logger.warn({ err: error, messageId: message.messageId }, 'message could not be settled');
      return false;
    } finally {
      this.#busy--;
      this.#lastActivity = performance.now();
    }
  }
}
