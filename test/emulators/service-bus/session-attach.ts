import rhea, { type Sender } from 'rhea';
import { AmqpFault } from './amqp-error.ts';
import { record } from './amqp-message.ts';
import { integer } from './management.ts';
import type { Queue } from './queue.ts';
import { announceProperties, holdAttach } from './rhea-internals.ts';
import type { SessionHolder } from './sessions.ts';

const SESSION_FILTER = 'com.microsoft:session-filter';
const TIMEOUT_PROPERTY = 'com.microsoft:timeout';
const DEFAULT_TIMEOUT_MS = 60_000;
const DETACH_AFTER_MS = 1_000;
/** .NET ticks (100 ns since the year 1) at the beginning of 1970. */
const TICKS_AT_1970 = 621_355_968_000_000_000n;
const TICKS_PER_MS = 10_000n;

export interface SessionAttachProps {
  readonly sender: Sender;
  readonly queue: Queue;
  /** The attach is answered and the session's lock is held. */
  readonly onAccepted: (holder: SessionHolder) => void;
}

/**
 * Answers the attach of a receiver to a queue with sessions: for the session it names, or for the first free one, for which
 * the attach waits as long as the client allows. Returns what ends the wait.
 */
export function attachSession({ sender, queue, onAccepted }: SessionAttachProps): () => void {
  const filter = sender.source.filter ?? {};
  if (!(SESSION_FILTER in filter)) {
    sender.close(
      new AmqpFault('amqp:not-allowed', 'It is not possible for an entity that requires sessions to create a non-sessionful message receiver.').toWire(),
    );
    return () => {};
  }
  const wanted = sessionIdOf(filter[SESSION_FILTER]);

  function accept(sessionId: string): boolean {
    const lost = new AmqpFault('com.microsoft:session-lock-lost', 'The session lock has expired on the MessageSession. Accept a new MessageSession.');
    const holder = queue.sessions.accept(sessionId, () => sender.close(lost.toWire()));
    if (holder === undefined) return false;
    sender.set_source({ address: sender.source.address, filter: { [SESSION_FILTER]: sessionId } });
    const ticks = Buffer.alloc(8);
    ticks.writeBigInt64BE(TICKS_AT_1970 + BigInt(holder.until) * TICKS_PER_MS);
    announceProperties(sender, { 'com.microsoft:locked-until-utc': rhea.types.wrap_long(ticks) });
    sender.open();
    onAccepted(holder);
    return true;
  }

  if (wanted !== undefined) {
    if (accept(wanted)) return () => {};
    // The SDK takes an answer without the filter for "held by another" and closes; a detach right behind would hide that.
    sender.set_source({ address: sender.source.address });
    const fault = new AmqpFault('com.microsoft:session-cannot-be-locked', `The requested session '${wanted}' cannot be accepted.`);
    setTimeout(() => sender.close(fault.toWire()), DETACH_AFTER_MS);
    return () => {};
  }
  const free = queue.sessions.free();
  if (free !== undefined && accept(free)) return () => {};

  holdAttach(sender);
  const giveUp = setTimeout(() => {
    endWait();
    sender.open();
    sender.close(new AmqpFault('com.microsoft:timeout', 'No session became available in time.').toWire());
  }, timeoutOf(sender));
  const onFree = (sessionId: string): void => {
    if (accept(sessionId)) clearTimeout(giveUp);
    else endWait = queue.sessions.wait(onFree);
  };
  let endWait = queue.sessions.wait(onFree);
  return () => {
    clearTimeout(giveUp);
    endWait();
  };
}

/** `undefined` asks for any session. */
function sessionIdOf(filter: unknown): string | undefined {
  const value = typeof filter === 'object' && filter !== null ? record(filter).value : filter;
  return typeof value === 'string' ? value : undefined;
}

/** Answers a little before the client gives up by itself. */
function timeoutOf(sender: Sender): number {
  const timeout = record(sender.properties)[TIMEOUT_PROPERTY];
  return Math.max(100, (timeout === undefined ? DEFAULT_TIMEOUT_MS : integer(timeout)) - 50);
}
