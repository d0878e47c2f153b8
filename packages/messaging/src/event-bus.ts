/** A message as it goes to a queue: the event as bytes, and what brokers route and deduplicate by. */
export interface OutgoingMessage {
  /** The event's id; brokers with duplicate detection drop a second one inside their window. */
  readonly messageId: string;
  readonly contentType: string;
  /** The event's type. */
  readonly subject: string;
  readonly body: Buffer;
  /** Strings that routing rules of the broker can see. */
  readonly properties: Readonly<Record<string, string>>;
  /** Orders the messages of one session on session-enabled queues. */
  readonly sessionId?: string;
}

/**
 * Sends to one queue. Resolves when the broker has confirmed every message; rejects with a `StoreError` when any is unconfirmed: with a
 * `MessagesRefusedError` when the queue will never take some of them and has confirmed all others.
 */
export interface EventPublisher {
  publish(messages: readonly OutgoingMessage[], signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface IncomingMessage {
  readonly messageId: string | undefined;
  readonly contentType: string | undefined;
  /** The raw body where it is bytes; a string or AMQP value is given as its JSON or UTF-8 bytes. */
  readonly body: Buffer;
  readonly enqueuedAt: Date | undefined;
  /** 1 on the first delivery. */
  readonly deliveryCount: number;
  /** From queues that keep order: the session, and where the queue has put the message; later ones have a greater sequence. */
  readonly order?: { readonly sessionId: string; readonly sequence: bigint };
}

/** What to do with a message once it is handled. `deadLetter` sets it aside on the broker with the reason. */
export type Settlement =
  | { readonly kind: 'complete' }
  | { readonly kind: 'abandon' }
  | { readonly kind: 'deadLetter'; readonly reason: string; readonly description: string };

/** Decides a message's fate. Must not throw; a throw counts as `abandon` and is logged. */
export type MessageHandler = (message: IncomingMessage, signal: AbortSignal) => Promise<Settlement>;

/**
 * Receives from one queue as one of many competing consumers, peek-lock style, `concurrency` messages at a time. Reconnects
 * by itself for ever; `start` resolves without waiting for the broker; `stop` lets running handlers end (bounded by the
 * signal) and gives unhandled messages back.
 */
export interface EventConsumer {
  start(handler: MessageHandler): Promise<void>;
  stop(signal: AbortSignal): Promise<void>;
}
