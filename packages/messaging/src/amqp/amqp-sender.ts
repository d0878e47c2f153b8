import { StoreError } from '@skiff/model/store-error';
import { withDeadline } from '@skiff/runtime/abort';
import type { Connection, Delivery, EventContext, Message, Sender } from 'rhea';
import { toAmqpError } from './amqp-error.ts';

const OPEN_TIMEOUT_MS = 10_000;
const SEND_TIMEOUT_MS = 15_000;

interface Pending {
  readonly resolve: () => void;
  readonly reject: (error: StoreError) => void;
}

/** A link to one address over an open connection. Each send is confirmed by the broker before it resolves. */
export class AmqpSender {
  readonly #link: Sender;
  readonly #pending = new Map<Delivery, Pending>();
  readonly #waiting = new Set<() => void>();
  #failure: StoreError | undefined;

  private constructor(link: Sender) {
    this.#link = link;
    const settle = (event: EventContext, error: StoreError | undefined): void => {
      const { delivery } = event;
      const pending = delivery === undefined ? undefined : this.#pending.get(delivery);
      if (delivery === undefined || pending === undefined) return;
      this.#pending.delete(delivery);
      if (error === undefined) pending.resolve();
      else pending.reject(error);
    };
    link.on('accepted', (event: EventContext) => settle(event, undefined));
    link.on('rejected', (event: EventContext) => settle(event, toAmqpError('rejected', rejectionOf(event.delivery))));
    link.on('released', (event: EventContext) => settle(event, notTaken('released')));
    link.on('modified', (event: EventContext) => settle(event, notTaken('modified')));
    link.on('sendable', () => this.#wake());
  }

  /** @throws {StoreError} when the broker refuses the link. `ended` is that of the connection. */
  static async open(connection: Connection, address: string, ended: Promise<Error>): Promise<AmqpSender> {
    const link = connection.open_sender({ target: { address, durable: 0 }, snd_settle_mode: 0, autosettle: true });
    const sender = new AmqpSender(link);
    const opened = Promise.withResolvers<void>();
    const fail = (failure: unknown): void => {
      const error = toAmqpError('send', failure);
      opened.reject(error);
      sender.#fail(error);
    };
    link.on('sender_open', () => opened.resolve());
    link.on('sender_error', () => fail(link.error ?? { description: 'the link failed' }));
    link.on('sender_close', () => fail(link.error ?? { description: 'the broker has closed the link' }));
    link.session.on('session_error', () => fail(link.session.error ?? { description: 'the session failed' }));
    void ended.then(fail);
    try {
      await withDeadline({ timeoutMs: OPEN_TIMEOUT_MS }, () => opened.promise);
    } catch (error) {
      throw toAmqpError('open link', error);
    }
    return sender;
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** @throws {StoreError} when the broker does not confirm. */
  async send(message: Message, signal: AbortSignal): Promise<void> {
    let delivery: Delivery | undefined;
    try {
      await withDeadline({ timeoutMs: SEND_TIMEOUT_MS, signal }, async (within) => {
        while (this.#failure === undefined && !this.#link.sendable()) await this.#credit(within);
        if (this.#failure !== undefined) throw this.#failure;
        const sent = Promise.withResolvers<void>();
        delivery = this.#link.send(message);
        this.#pending.set(delivery, { resolve: sent.resolve, reject: sent.reject });
        await sent.promise;
      });
    } catch (error) {
      if (signal.aborted) throw new StoreError({ code: 'aborted', message: 'send was aborted', cause: error });
      throw toAmqpError('send', error);
    } finally {
      if (delivery !== undefined) this.#pending.delete(delivery);
    }
  }

  /** Resolves when the broker may have granted credit, the link has failed, or `signal` fires. */
  #credit(signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
      if (signal.aborted) wake();
    }).then(() => signal.throwIfAborted());
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  #fail(error: StoreError): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.#wake();
  }
}

function rejectionOf(delivery: Delivery | undefined): unknown {
  const state: unknown = delivery?.remote_state;
  return typeof state === 'object' && state !== null && 'error' in state && state.error !== undefined
    ? state.error
    : { description: 'the broker rejected the message' };
}

function notTaken(outcome: string): StoreError {
  return new StoreError({ code: 'unavailable', message: `the broker did not take the message (${outcome})`, vendorCode: outcome });
}
