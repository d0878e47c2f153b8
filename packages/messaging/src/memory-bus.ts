import { StoreError } from '@skiff/model/store-error';
import type { EventConsumer, EventPublisher, IncomingMessage, MessageHandler, OutgoingMessage, Settlement } from './event-bus.ts';
import { MessagesRefusedError } from './messages-refused-error.ts';

export interface MemoryBusOptions {
  /** Deliveries before a message is set aside as `MaxDeliveryCountExceeded`. Default 10, as Service Bus. */
  readonly maxDeliveryCount?: number;
  /** A second message with the same id inside this window is dropped, in milliseconds. Default 600,000; 0 turns it off. At most `maxMessages` ids are kept. */
  readonly duplicateWindowMs?: number;
  /** Largest body in bytes; above it `publish` fails with `invalid`. Default 1 MiB. */
  readonly maxBodyBytes?: number;
  /** Messages that may wait; above it `publish` fails with `throttled`. Default 100,000. */
  readonly maxMessages?: number;
  /** Monotonic clock in milliseconds. */
  readonly now?: () => number;
}

export interface MemoryDeadLetter {
  readonly message: OutgoingMessage;
  readonly reason: string;
  readonly description: string;
}

/** One queue in this process's memory: for tests of the parts that use a bus. Not durable. It keeps sessions in order for a single handler only. */
export interface MemoryBus {
  readonly publisher: EventPublisher;
  /** One more competing consumer. */
  consumer(options?: { readonly concurrency?: number }): EventConsumer;
  /** Messages that were set aside, oldest first. */
  readonly deadLetters: readonly MemoryDeadLetter[];
  /** Messages that wait or are being handled, oldest first. */
  readonly pending: readonly OutgoingMessage[];
  /** While on, `publish` fails with `unavailable` and nothing is delivered: the broker is down. */
  outage(on: boolean): void;
}

interface Entry {
  readonly message: OutgoingMessage;
  readonly sequence: number;
  readonly enqueuedAt: Date;
  deliveryCount: number;
}

interface Listener {
  readonly concurrency: number;
  readonly handler: MessageHandler;
  readonly running: Set<Promise<void>>;
  readonly aborter: AbortController;
}

export function createMemoryBus(options: MemoryBusOptions = {}): MemoryBus {
  const queue = new MemoryQueue(options);
  return {
    publisher: {
      publish: async (messages, signal) => queue.publish(messages, signal),
      close: async () => {},
    },
    consumer: ({ concurrency = 1 } = {}) => createConsumer(queue, concurrency),
    get deadLetters() {
      return queue.deadLetters;
    },
    get pending() {
      return [...queue.handled, ...queue.ready].sort(bySequence).map((entry) => entry.message);
    },
    outage: (on) => queue.setDown(on),
  };
}

class MemoryQueue {
  readonly ready: Entry[] = [];
  readonly handled = new Set<Entry>();
  readonly deadLetters: MemoryDeadLetter[] = [];
  readonly listeners = new Set<Listener>();
  readonly #seen = new Map<string, number>();
  readonly #options: Required<MemoryBusOptions>;
  #sequence = 0;
  #down = false;

  constructor(options: MemoryBusOptions) {
    this.#options = {
      maxDeliveryCount: 10,
      duplicateWindowMs: 600_000,
      maxBodyBytes: 1_048_576,
      maxMessages: 100_000,
      now: () => performance.now(),
      ...options,
    };
  }

  publish(messages: readonly OutgoingMessage[], signal: AbortSignal): void {
    if (signal.aborted) throw new StoreError({ code: 'aborted', message: 'publish was aborted', cause: signal.reason });
    if (this.#down) throw new StoreError({ code: 'unavailable', message: 'the bus is down' });
    if (this.ready.length + this.handled.size + messages.length > this.#options.maxMessages)
      throw new StoreError({ code: 'throttled', message: 'the queue is full' });
    const refused = new Map<string, string>();
    for (const message of messages) {
      if (message.body.length > this.#options.maxBodyBytes) {
        refused.set(message.messageId, `${message.body.length} bytes are more than ${this.#options.maxBodyBytes}`);
        continue;
      }
      if (this.#isDuplicate(message.messageId)) continue;
      this.ready.push({ message, sequence: ++this.#sequence, enqueuedAt: new Date(), deliveryCount: 0 });
    }
    this.pump();
    if (refused.size > 0) throw new MessagesRefusedError(refused);
  }

  setDown(on: boolean): void {
    this.#down = on;
    this.pump();
  }

  pump(): void {
    queueMicrotask(() => {
      for (let progress = !this.#down; progress; ) {
        progress = false;
        for (const listener of this.listeners) {
          if (listener.running.size >= listener.concurrency) continue;
          const entry = this.ready.shift();
          if (entry === undefined) return;
          progress = true;
          this.#run(listener, entry);
        }
      }
    });
  }

  #run(listener: Listener, entry: Entry): void {
    this.handled.add(entry);
    entry.deliveryCount++;
    const run = handle(listener, entry).then((settlement) => {
      listener.running.delete(run);
      this.handled.delete(entry);
      this.#settle(entry, settlement);
      this.pump();
    });
    listener.running.add(run);
  }

  #settle(entry: Entry, settlement: Settlement): void {
    switch (settlement.kind) {
      case 'complete':
        return;
      case 'deadLetter':
        this.deadLetters.push({ message: entry.message, reason: settlement.reason, description: settlement.description });
        return;
      case 'abandon':
        if (entry.deliveryCount >= this.#options.maxDeliveryCount) {
          this.deadLetters.push({ message: entry.message, reason: 'MaxDeliveryCountExceeded', description: `handled ${entry.deliveryCount} times` });
          return;
        }
        this.ready.push(entry);
        this.ready.sort(bySequence);
        return;
    }
  }

  #isDuplicate(messageId: string): boolean {
    const { duplicateWindowMs, maxMessages, now } = this.#options;
    if (duplicateWindowMs === 0) return false;
    const at = now();
    for (const [id, seenAt] of this.#seen) {
      if (at - seenAt < duplicateWindowMs && this.#seen.size < maxMessages) break;
      this.#seen.delete(id);
    }
    if (this.#seen.has(messageId)) return true;
    this.#seen.set(messageId, at);
    return false;
  }
}

function createConsumer(queue: MemoryQueue, concurrency: number): EventConsumer {
  let listener: Listener | undefined;
  return {
    start: async (handler) => {
      if (listener !== undefined) throw new StoreError({ code: 'invalid', message: 'the consumer is already started' });
      listener = { concurrency, handler, running: new Set(), aborter: new AbortController() };
      queue.listeners.add(listener);
      queue.pump();
    },
    stop: async (signal) => {
      if (listener === undefined) return;
      const stopping = listener;
      listener = undefined;
      queue.listeners.delete(stopping);
      const abort = (): void => stopping.aborter.abort(signal.reason);
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      await Promise.all(stopping.running);
      signal.removeEventListener('abort', abort);
    },
  };
}

/** Ends with the handler, or as `abandon` at once when the consumer's stop ran out of time. */
async function handle(listener: Listener, entry: Entry): Promise<Settlement> {
  const { signal } = listener.aborter;
  const cut = Promise.withResolvers<Settlement>();
  const onAbort = (): void => cut.resolve({ kind: 'abandon' });
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([listener.handler(toIncoming(entry), signal), cut.promise]);
  } catch {
    return { kind: 'abandon' };
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function toIncoming(entry: Entry): IncomingMessage {
  const { message, enqueuedAt, deliveryCount, sequence } = entry;
  const { messageId, contentType, body, sessionId } = message;
  const order = sessionId === undefined ? {} : { order: { sessionId, sequence: BigInt(sequence) } };
  return { messageId, contentType, body, enqueuedAt, deliveryCount, ...order };
}

function bySequence(left: Entry, right: Entry): number {
  return left.sequence - right.sequence;
}
