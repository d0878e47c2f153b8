import type { LoggedMessage } from './write-ahead-log.ts';

/** `gone`: completed, moved or expired, but perhaps still in a list. */
export type MessageState = 'ready' | 'locked' | 'deferred' | 'scheduled' | 'gone';

/** Who is notified when a lock's holder is gone; sessions hold theirs as long as the session lock. */
export interface MessageLock {
  /** 16 bytes: the delivery tag, and in .NET's byte order the lock token. */
  readonly token: Buffer;
  readonly holder: object | undefined;
  until: number;
  timer: NodeJS.Timeout | undefined;
}

/** Times are milliseconds since 1970, 0 for "never". */
export interface StoredMessage {
  readonly sequence: number;
  readonly enqueuedAt: number;
  readonly expiresAt: number;
  readonly timeToLiveMs: number | undefined;
  readonly sessionId: string | undefined;
  readonly messageId: string | undefined;
  readonly partitionKey: string | undefined;
  body: Buffer;
  scheduledFor: number;
  deliveryCount: number;
  state: MessageState;
  lock: MessageLock | undefined;
}

export function toLogged(message: StoredMessage): LoggedMessage {
  const { sequence, enqueuedAt, scheduledFor, expiresAt, deliveryCount, timeToLiveMs, sessionId, messageId, partitionKey } = message;
  return {
    ...{ sequence, body: message.body.toString('base64'), enqueuedAt, scheduledFor, expiresAt, deliveryCount, deferred: message.state === 'deferred' },
    ...(timeToLiveMs === undefined ? {} : { timeToLiveMs }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(messageId === undefined ? {} : { messageId }),
    ...(partitionKey === undefined ? {} : { partitionKey }),
  };
}

/** Locks do not outlive the broker: what was locked is ready again. */
export function fromLogged(logged: LoggedMessage): StoredMessage {
  return {
    sequence: logged.sequence,
    enqueuedAt: logged.enqueuedAt,
    expiresAt: logged.expiresAt,
    timeToLiveMs: logged.timeToLiveMs,
    sessionId: logged.sessionId,
    messageId: logged.messageId,
    partitionKey: logged.partitionKey,
    body: Buffer.from(logged.body, 'base64'),
    scheduledFor: logged.scheduledFor,
    deliveryCount: logged.deliveryCount,
    state: logged.deferred ? 'deferred' : 'ready',
    lock: undefined,
  };
}
