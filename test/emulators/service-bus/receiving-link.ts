import type { Delivery, Sender } from 'rhea';
import { lockLost } from './amqp-error.ts';
import { encodeForReceiver, record } from './amqp-message.ts';
import type { Consumer, Queue } from './queue.ts';
import { accept, isDraining, notYetSent, reject, roomOf } from './rhea-internals.ts';
import type { SessionHolder } from './sessions.ts';
import type { StoredMessage } from './stored-message.ts';

/** A client's receiver: hands it messages under lock (or for good, when it attached as settled) and takes its settlements. */
export class ReceivingLink implements Consumer {
  readonly #sender: Sender;
  readonly #queue: Queue;
  readonly #session: SessionHolder | undefined;
  #buffered: Delivery[] = [];

  constructor(sender: Sender, queue: Queue, session?: SessionHolder) {
    this.#sender = sender;
    this.#queue = queue;
    this.#session = session;
    queue.addConsumer(this);
  }

  deliver(most: number): number {
    if (!this.#sender.is_open()) return 0;
    this.#buffered = notYetSent(this.#sender, this.#buffered);
    let delivered = 0;
    while (delivered < most && roomOf(this.#sender, this.#buffered.length) > 0) {
      const message = this.#queue.take(this.#queue.settings.requiresSession ? this.#session?.sessionId : undefined);
      if (message === undefined) {
        this.#finishDrain();
        break;
      }
      this.#buffered.push(this.#send(message));
      delivered++;
    }
    return delivered;
  }

  close(): void {
    this.#queue.removeConsumer(this);
    if (this.#session !== undefined) this.#queue.sessions.release(this.#session);
  }

  /** Carries out the outcome that the client sent for a delivery, and answers once it is durable. */
  settle(delivery: Delivery, outcome: Outcome): void {
    const message = Buffer.isBuffer(delivery.tag) ? this.#queue.heldBy(delivery.tag) : undefined;
    if (message === undefined) {
      reject(delivery, lockLost());
      return;
    }
    const done = (): void => accept(delivery);
    switch (outcome) {
      case 'accepted':
        this.#queue.remove(message, done);
        return;
      case 'released':
        this.#queue.abandon(message, {}, done);
        return;
      case 'modified': {
        const defer: unknown = delivery.remote_state?.undeliverable_here;
        const properties: unknown = delivery.remote_state?.message_annotations;
        if (defer === true) this.#queue.defer(message, record(properties), done);
        else this.#queue.abandon(message, record(properties), done);
        return;
      }
      case 'rejected': {
        const { condition, description, info } = fieldsOfError(delivery);
        const { DeadLetterReason = condition, DeadLetterErrorDescription = description, ...properties } = record(info);
        const why = { reason: optionalText(DeadLetterReason), description: optionalText(DeadLetterErrorDescription) };
        this.#queue.deadLetter(message, why, properties, done);
        return;
      }
    }
  }

  #send(message: StoredMessage): Delivery {
    if (this.#sender.snd_settle_mode === 1) {
      const delivery = this.#sender.send(encodeForReceiver(message), undefined, 0);
      this.#queue.remove(message);
      return delivery;
    }
    const { token, until } = this.#queue.lock(message, this.#session);
    return this.#sender.send(encodeForReceiver(message, this.#session?.until ?? until), token, 0);
  }

  /** A client that drains waits for its credit to be used up or handed back. */
  #finishDrain(): void {
    if (!isDraining(this.#sender)) return;
    if (this.#buffered.length === 0) this.#sender.set_drained(true);
    else this.#queue.pump();
  }
}

export type Outcome = 'accepted' | 'released' | 'modified' | 'rejected';

/** rhea gives the error as a composite with accessors. */
function fieldsOfError(delivery: Delivery): { readonly condition: unknown; readonly description: unknown; readonly info: unknown } {
  const error: unknown = delivery.remote_state?.error;
  const read = (name: string): unknown => (typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined);
  return { condition: read('condition'), description: read('description'), info: read('info') };
}

function optionalText(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : String(value);
}
