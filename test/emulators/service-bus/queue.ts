import { randomBytes } from 'node:crypto';
import { withDeadLetterReason, withProperties } from './amqp-message.ts';
import { DuplicateWindow } from './duplicate-window.ts';
import type { QueueSettings } from './entity-config.ts';
import { ReadyList } from './ready-list.ts';
import { Sessions } from './sessions.ts';
import { type MessageLock, type StoredMessage, toLogged } from './stored-message.ts';
import type { WriteAheadLog } from './write-ahead-log.ts';

const BURST = 8;

/** A link that receives from a queue. */
export interface Consumer {
  /** Takes up to `most` messages for which there is credit; says how many. */
  deliver(most: number): number;
}

export interface QueueProps {
  readonly settings: QueueSettings;
  readonly log: WriteAheadLog;
  /** Absent on a dead-letter queue itself. */
  readonly deadLetters?: Queue;
}

export interface DeadLetterReason {
  readonly reason: string | undefined;
  readonly description: string | undefined;
}

type Properties = Readonly<Record<string, unknown>>;

/** Messages in sequence order, under peek-lock. Every change is logged; callbacks run when it is on disk. */
export class Queue {
  readonly settings: QueueSettings;
  readonly deadLetters: Queue | undefined;
  readonly sessions: Sessions;
  readonly duplicates: DuplicateWindow;
  /** By sequence number. */
  readonly messages = new Map<number, StoredMessage>();
  readonly ready = new ReadyList();
  bytes = 0;
  readonly #log: WriteAheadLog;
  readonly #locked = new Map<string, StoredMessage>();
  readonly #timed = new Set<StoredMessage>();
  #consumers: Consumer[] = [];
  #pumping = false;

  constructor({ settings, log, deadLetters }: QueueProps) {
    this.settings = settings;
    this.#log = log;
    this.deadLetters = deadLetters;
    this.duplicates = new DuplicateWindow(settings.duplicateWindowMs);
    this.sessions = new Sessions(this, log);
  }

  get name(): string {
    return this.settings.name;
  }

  /** Logs the message and lets it in. */
  put(message: StoredMessage, onDurable: () => void): void {
    this.#log.append({ kind: 'put', queue: this.name, message: toLogged(message), at: Date.now() }, () => {
      this.duplicates.markDurable(message.messageId);
      this.insert(message);
      onDurable();
    });
  }

  /** Lets in a message that is in the log. */
  insert(message: StoredMessage): void {
    this.messages.set(message.sequence, message);
    this.bytes += message.body.length;
    if (message.scheduledFor > 0 || message.expiresAt > 0) this.#timed.add(message);
    if (message.state === 'deferred') return;
    if (message.scheduledFor > Date.now()) message.state = 'scheduled';
    else this.#makeReady(message);
  }

  addConsumer(consumer: Consumer): void {
    this.#consumers.push(consumer);
    this.pump();
  }

  removeConsumer(consumer: Consumer): void {
    this.#consumers = this.#consumers.filter((other) => other !== consumer);
  }

  /** Serves the consumers in turn, a few messages at a time, and begins with another one each time. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      const [first, ...others] = this.#consumers;
      if (first === undefined) return;
      this.#consumers = [...others, first];
      for (let delivered = 1; delivered > 0; ) {
        delivered = 0;
        for (const consumer of this.#consumers) delivered += consumer.deliver(BURST);
      }
    });
  }

  /** The next message to deliver, in order. */
  take(sessionId: string | undefined): StoredMessage | undefined {
    for (;;) {
      const message = this.ready.take(sessionId);
      if (message === undefined || message.expiresAt === 0 || message.expiresAt > Date.now()) return message;
      this.#expire(message);
    }
  }

  /** Locks for `settings.lockMs`; a `holder` is a session, whose own lock counts. */
  lock(message: StoredMessage, holder?: object): MessageLock {
    const lock: MessageLock = { token: randomBytes(16), holder, until: Date.now() + this.settings.lockMs, timer: undefined };
    message.state = 'locked';
    message.lock = lock;
    this.#locked.set(lock.token.toString('hex'), message);
    if (holder === undefined) this.#arm(message, lock);
    return lock;
  }

  renew(message: StoredMessage, lock: MessageLock): void {
    lock.until = Date.now() + this.settings.lockMs;
    this.#arm(message, lock);
  }

  /** The message that the lock token holds, unless the lock is lost. */
  heldBy(token: Buffer): StoredMessage | undefined {
    return this.#locked.get(token.toString('hex'));
  }

  remove(message: StoredMessage, onDurable?: () => void): void {
    this.#forget(message);
    this.#log.append({ kind: 'remove', queue: this.name, sequence: message.sequence }, onDurable);
  }

  /** Takes a message out without logging it: while the log is replayed. */
  discard(message: StoredMessage): void {
    this.#forget(message);
  }

  /** Back to the queue with one delivery more, or to the dead letters after the last. */
  abandon(message: StoredMessage, properties: Properties, onDurable?: () => void): void {
    this.#unlock(message);
    message.deliveryCount++;
    this.#setBody(message, withProperties(message.body, properties));
    const { maxDeliveryCount } = this.settings;
    if (this.deadLetters !== undefined && message.deliveryCount >= maxDeliveryCount) {
      const description = `Message could not be consumed after ${maxDeliveryCount} delivery attempts.`;
      this.deadLetter(message, { reason: 'MaxDeliveryCountExceeded', description }, {}, onDurable);
      return;
    }
    message.state = 'ready';
    this.#update(message, onDurable);
    this.#makeReady(message);
  }

  defer(message: StoredMessage, properties: Properties, onDurable?: () => void): void {
    this.#unlock(message);
    message.deliveryCount++;
    this.#setBody(message, withProperties(message.body, properties));
    message.state = 'deferred';
    this.#update(message, onDurable);
  }

  deadLetter(message: StoredMessage, why: DeadLetterReason, properties: Properties, onDurable?: () => void): void {
    const { deadLetters } = this;
    if (deadLetters === undefined) {
      this.remove(message, onDurable);
      return;
    }
    this.#forget(message);
    const body = withDeadLetterReason(message.body, why, properties);
    const moved: StoredMessage = { ...message, body, state: 'ready', scheduledFor: 0, expiresAt: 0, lock: undefined };
    this.#log.append({ kind: 'move', from: this.name, queue: deadLetters.name, message: toLogged(moved) }, () => {
      deadLetters.insert(moved);
      onDurable?.();
    });
  }

  /** Gives back what the holder of a session has locked, uncounted as Service Bus does. */
  releaseHeldBy(holder: object): void {
    for (const message of [...this.#locked.values()]) {
      if (message.lock?.holder !== holder) continue;
      this.#unlock(message);
      this.#makeReady(message);
    }
  }

  /** Makes due messages available and expires old ones. */
  sweep(now: number): void {
    for (const message of this.#timed) {
      if (message.state === 'gone') this.#timed.delete(message);
      else if (message.state === 'scheduled' && message.scheduledFor <= now) {
        message.scheduledFor = 0;
        if (message.expiresAt === 0) this.#timed.delete(message);
        this.#makeReady(message);
      } else if (message.state === 'ready' && message.expiresAt > 0 && message.expiresAt <= now) this.#expire(message);
    }
  }

  #expire(message: StoredMessage): void {
    if (this.settings.deadLetterOnExpiry) {
      this.deadLetter(message, { reason: 'TTLExpiredException', description: 'The message expired and was dead lettered.' }, {});
    } else this.remove(message);
  }

  #makeReady(message: StoredMessage): void {
    message.state = 'ready';
    this.ready.add(message);
    this.pump();
    this.sessions.offer();
  }

  #arm(message: StoredMessage, lock: MessageLock): void {
    clearTimeout(lock.timer);
    lock.timer = setTimeout(() => {
      if (message.lock === lock) this.abandon(message, {});
    }, lock.until - Date.now());
  }

  #unlock(message: StoredMessage): void {
    const { lock } = message;
    if (lock === undefined) return;
    clearTimeout(lock.timer);
    this.#locked.delete(lock.token.toString('hex'));
    message.lock = undefined;
  }

  #forget(message: StoredMessage): void {
    this.#unlock(message);
    message.state = 'gone';
    if (!this.messages.delete(message.sequence)) return;
    this.#timed.delete(message);
    this.bytes -= message.body.length;
  }

  #setBody(message: StoredMessage, body: Buffer): void {
    this.bytes += body.length - message.body.length;
    message.body = body;
  }

  #update(message: StoredMessage, onDurable?: () => void): void {
    this.#log.append({ kind: 'update', queue: this.name, message: toLogged(message) }, onDurable);
  }
}
