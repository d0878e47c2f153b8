import { AmqpFault, notFound } from './amqp-error.ts';
import { type DecodedMessage, decodeMessage } from './amqp-message.ts';
import { bareMessage } from './amqp-sections.ts';
import { type CorrelationFilter, type Entities, parseEntities, type QueueSettings } from './entity-config.ts';
import { Queue } from './queue.ts';
import type { ServerConfig } from './server-config.ts';
import { fromLogged, type StoredMessage, toLogged } from './stored-message.ts';
import { type LogRecord, WriteAheadLog } from './write-ahead-log.ts';

const SWEEP_MS = 100;

interface Topic {
  readonly subscriptions: readonly { readonly queue: Queue; readonly filters: readonly CorrelationFilter[] }[];
}

/** `throttle`: sends are refused as server busy. */
export interface Faults {
  throttle: boolean;
}

/** All entities of the broker and their log. Names are case-insensitive. */
export class Namespace {
  readonly queues = new Map<string, Queue>();
  readonly faults: Faults = { throttle: false };
  readonly #topics = new Map<string, Topic>();
  readonly #log: WriteAheadLog;
  readonly #maxQueueBytes: number;
  readonly #sweeper: NodeJS.Timeout;
  #sequence = 0;

  constructor(config: ServerConfig) {
    this.#maxQueueBytes = config.maxQueueBytes;
    this.#log = new WriteAheadLog({ dir: config.dataDir, fsync: config.fsync, snapshot: () => this.#snapshot() });
    this.#createEntities(parseEntities(config.entities));
    for (const record of this.#log.replay()) this.#apply(record);
    this.#log.compact();
    this.#sweeper = setInterval(() => {
      const now = Date.now();
      for (const queue of this.queues.values()) queue.sweep(now);
    }, SWEEP_MS);
  }

  queue(address: string): Queue | undefined {
    return this.queues.get(address.toLowerCase());
  }

  has(address: string): boolean {
    return this.queue(address) !== undefined || this.#topics.has(address.toLowerCase());
  }

  /** Enqueues one encoded message; resolves with the sequence numbers once it is durable. @throws {AmqpFault} */
  async send(address: string, raw: Buffer, decoded: DecodedMessage = decodeMessage(raw)): Promise<number[]> {
    if (this.faults.throttle) throw new AmqpFault('com.microsoft:server-busy', 'The request was terminated because the namespace is being throttled.');
    const queues = this.#destinations(address, decoded);
    for (const queue of queues) this.#admit(queue, raw, decoded);
    const bare = bareMessage(raw);
    const sequences = await Promise.all(queues.map((queue) => this.#enqueue(queue, bare, decoded)));
    return sequences.filter((sequence) => sequence !== undefined);
  }

  /** Waits until everything is on disk. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    await new Promise<void>((resolve) => this.#log.barrier(resolve));
  }

  #destinations(address: string, message: DecodedMessage): readonly Queue[] {
    const topic = this.#topics.get(address.toLowerCase());
    if (topic !== undefined) {
      return topic.subscriptions
        .filter(({ filters }) => filters.length === 0 || filters.some((filter) => matches(filter, message)))
        .map((subscription) => subscription.queue);
    }
    const queue = this.queue(address);
    if (queue === undefined) throw notFound(address);
    return [queue];
  }

  #admit(queue: Queue, raw: Buffer, message: DecodedMessage): void {
    if (queue.settings.requiresSession && message.sessionId === undefined) {
      throw new AmqpFault('amqp:not-allowed', 'The SessionId was not set on a message, and it cannot be sent to the entity that requires session support.');
    }
    if (queue.bytes + raw.length > this.#maxQueueBytes) {
      throw new AmqpFault('amqp:resource-limit-exceeded', `The maximum entity size of ${this.#maxQueueBytes} bytes has been reached.`);
    }
  }

  #enqueue(queue: Queue, body: Buffer, message: DecodedMessage): Promise<number | undefined> {
    return new Promise((resolve) => {
      // A duplicate is confirmed only once the original is durable.
      if (queue.duplicates.isDuplicate(message.messageId)) {
        this.#log.barrier(() => resolve(undefined));
        return;
      }
      const stored = this.#toStored(queue.settings, body, message);
      queue.put(stored, () => resolve(stored.sequence));
    });
  }

  #toStored(settings: QueueSettings, body: Buffer, message: DecodedMessage): StoredMessage {
    const now = Date.now();
    const enqueuedAt = Math.max(now, message.scheduledFor);
    const lifetimes = [message.timeToLiveMs ?? 0, settings.timeToLiveMs].filter((ms) => ms > 0);
    return {
      sequence: ++this.#sequence,
      enqueuedAt,
      scheduledFor: message.scheduledFor > now ? message.scheduledFor : 0,
      expiresAt: lifetimes.length === 0 ? 0 : enqueuedAt + Math.min(...lifetimes),
      timeToLiveMs: message.timeToLiveMs,
      sessionId: message.sessionId,
      messageId: message.messageId,
      partitionKey: message.partitionKey,
      body,
      deliveryCount: 0,
      state: 'ready',
      lock: undefined,
    };
  }

  #createEntities({ queues, topics }: Entities): void {
    for (const settings of queues) this.#createQueue(settings);
    for (const { name, subscriptions } of topics) {
      const created = subscriptions.map(({ queue, filters }) => ({ queue: this.#createQueue(queue), filters }));
      this.#topics.set(name.toLowerCase(), { subscriptions: created });
    }
  }

  #createQueue(settings: QueueSettings): Queue {
    const name = `${settings.name}/$deadletterqueue`;
    const deadLetters = new Queue({ settings: { ...settings, name, duplicateWindowMs: 0, requiresSession: false, timeToLiveMs: 0 }, log: this.#log });
    const queue = new Queue({ settings, log: this.#log, deadLetters });
    this.queues.set(name.toLowerCase(), deadLetters);
    this.queues.set(settings.name.toLowerCase(), queue);
    return queue;
  }

  #apply(record: LogRecord): void {
    if (record.kind === 'sequence') {
      this.#sequence = Math.max(this.#sequence, record.sequence);
      return;
    }
    const queue = this.queue(record.queue);
    if (queue === undefined) return;
    switch (record.kind) {
      case 'put':
      case 'move':
      case 'update': {
        if (record.kind === 'move') this.#drop(this.queue(record.from), record.message.sequence);
        this.#drop(queue, record.message.sequence);
        this.#sequence = Math.max(this.#sequence, record.message.sequence);
        const message = fromLogged(record.message);
        if (record.kind === 'put' && message.messageId !== undefined) queue.duplicates.restore(message.messageId, record.at);
        queue.insert(message);
        return;
      }
      case 'remove':
        this.#drop(queue, record.sequence);
        return;
      case 'seen':
        queue.duplicates.restore(record.messageId, record.at);
        return;
      case 'sessionState':
        queue.sessions.restoreState(record.sessionId, record.state === null ? undefined : Buffer.from(record.state, 'base64'));
        return;
    }
  }

  #drop(queue: Queue | undefined, sequence: number): void {
    const message = queue?.messages.get(sequence);
    if (queue !== undefined && message !== undefined) queue.discard(message);
  }

  *#snapshot(): Iterable<LogRecord> {
    yield { kind: 'sequence', sequence: this.#sequence };
    for (const queue of this.queues.values()) {
      for (const [messageId, at] of queue.duplicates.durable()) yield { kind: 'seen', queue: queue.name, messageId, at };
      for (const [sessionId, state] of queue.sessions.states()) yield { kind: 'sessionState', queue: queue.name, sessionId, state: state.toString('base64') };
      // `update` rather than `put`: it says nothing about when the id was seen.
      for (const message of queue.messages.values()) yield { kind: 'update', queue: queue.name, message: toLogged(message) };
    }
  }
}

function matches(filter: CorrelationFilter, message: DecodedMessage): boolean {
  return (
    Object.entries(filter.system).every(([name, value]) => message.system[name] === value) &&
    Object.entries(filter.properties).every(([name, value]) => message.applicationProperties[name] === value)
  );
}
