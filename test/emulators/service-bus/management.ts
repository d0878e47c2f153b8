import rhea from 'rhea';
import { AmqpFault, lockLost } from './amqp-error.ts';
import { decodeMessage, encodeForReceiver, record } from './amqp-message.ts';
import type { Namespace } from './namespace.ts';
import type { Queue } from './queue.ts';
import type { StoredMessage } from './stored-message.ts';

const { types } = rhea;
const TIMESTAMP_TYPE = 0x83;
const LONG_TYPE = 0x81;

export interface ManagementRequest {
  readonly namespace: Namespace;
  /** Address without `/$management`. */
  readonly address: string;
  readonly operation: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface ManagementResponse {
  readonly status: 200 | 204;
  readonly body?: Readonly<Record<string, unknown>>;
}

/**
 * Request/response operations on an entity's `$management` node (learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response).
 * @throws {AmqpFault}
 */
export async function manage(request: ManagementRequest): Promise<ManagementResponse> {
  const { namespace, address, operation, body } = request;
  if (operation === 'com.microsoft:schedule-message') return schedule(namespace, address, body);
  const queue = namespace.queue(address);
  const handler = OPERATIONS[operation];
  if (queue === undefined || handler === undefined) throw new AmqpFault('amqp:not-implemented', `${operation} on ${address}`);
  return handler(queue, body);
}

type Operation = (queue: Queue, body: Readonly<Record<string, unknown>>) => ManagementResponse | Promise<ManagementResponse>;

const OPERATIONS: Readonly<Record<string, Operation>> = {
  'com.microsoft:renew-lock': (queue, body) => {
    const expirations = list(body['lock-tokens']).map((token) => {
      const message = lockedBy(queue, token);
      if (message.lock === undefined) throw lockLost();
      queue.renew(message, message.lock);
      return message.lock.until;
    });
    return { status: 200, body: { expirations: types.wrap_array(expirations, TIMESTAMP_TYPE, undefined) } };
  },

  'com.microsoft:peek-message': (queue, body) => {
    const from = integer(body['from-sequence-number']);
    const sessionId = body['session-id'] ?? undefined;
    const found = [...queue.messages.values()]
      .filter((message) => message.sequence >= from && (sessionId === undefined || message.sessionId === sessionId))
      .sort((left, right) => left.sequence - right.sequence)
      .slice(0, integer(body['message-count']))
      .map((message) => types.wrap_map({ message: encodeForReceiver(message), 'lock-token': types.wrap_uuid(Buffer.alloc(16)) }));
    return found.length === 0 ? { status: 204 } : { status: 200, body: { messages: types.wrap_list(found) } };
  },

  'com.microsoft:cancel-scheduled-message': async (queue, body) => {
    for (const message of bySequence(queue, body, 'scheduled')) await durably((done) => queue.remove(message, done));
    return { status: 200 };
  },

  'com.microsoft:receive-by-sequence-number': (queue, body) => {
    const deleteAtOnce = integer(body['receiver-settle-mode']) === 0;
    const messages = bySequence(queue, body, 'deferred').map((message) => {
      const { token, until } = queue.lock(message);
      const received = { message: encodeForReceiver(message, until), 'lock-token': types.wrap_uuid(toGuidOrder(token)) };
      if (deleteAtOnce) queue.remove(message);
      return types.wrap_map(received);
    });
    return { status: 200, body: { messages: types.wrap_list(messages) } };
  },

  'com.microsoft:update-disposition': async (queue, body) => {
    const properties = record(body['properties-to-modify']);
    const why = { reason: optionalText(body['deadletter-reason']), description: optionalText(body['deadletter-description']) };
    for (const token of list(body['lock-tokens'])) {
      const message = lockedBy(queue, token);
      switch (body['disposition-status']) {
        case 'completed':
          await durably((done) => queue.remove(message, done));
          break;
        case 'abandoned':
          await durably((done) => queue.abandon(message, properties, done));
          break;
        case 'defered':
          await durably((done) => queue.defer(message, properties, done));
          break;
        case 'suspended':
          await durably((done) => queue.deadLetter(message, why, properties, done));
          break;
        default:
          throw new AmqpFault('amqp:invalid-field', `disposition-status ${String(body['disposition-status'])}`);
      }
    }
    return { status: 200 };
  },

  'com.microsoft:renew-session-lock': (queue, body) => {
    const holder = queue.sessions.holderOf(sessionOf(body));
    if (holder === undefined) throw new AmqpFault('com.microsoft:session-lock-lost', 'The session lock has expired.');
    queue.sessions.renew(holder);
    return { status: 200, body: { expiration: types.wrap_timestamp(holder.until) } };
  },

  'com.microsoft:set-session-state': async (queue, body) => {
    const state = body['session-state'];
    await durably((done) => queue.sessions.setState(sessionOf(body), Buffer.isBuffer(state) ? state : undefined, done));
    return { status: 200 };
  },

  'com.microsoft:get-session-state': (queue, body) => ({ status: 200, body: { 'session-state': queue.sessions.stateOf(sessionOf(body)) ?? null } }),
};

async function schedule(namespace: Namespace, address: string, body: Readonly<Record<string, unknown>>): Promise<ManagementResponse> {
  const sequences: number[] = [];
  for (const entry of list(body.messages)) {
    const raw = record(entry).message;
    if (!Buffer.isBuffer(raw)) throw new AmqpFault('amqp:invalid-field', 'messages');
    sequences.push(...(await namespace.send(address, raw, decodeMessage(raw))));
  }
  return { status: 200, body: { 'sequence-numbers': types.wrap_array(sequences, LONG_TYPE, undefined) } };
}

function lockedBy(queue: Queue, token: unknown): StoredMessage {
  const message = Buffer.isBuffer(token) ? queue.heldBy(toGuidOrder(token)) : undefined;
  if (message === undefined) throw lockLost();
  return message;
}

function bySequence(queue: Queue, body: Readonly<Record<string, unknown>>, state: 'scheduled' | 'deferred'): StoredMessage[] {
  return list(body['sequence-numbers']).map((sequence) => {
    const message = queue.messages.get(integer(sequence));
    if (message?.state !== state) throw new AmqpFault('com.microsoft:message-not-found', `There is no ${state} message ${integer(sequence)}.`);
    return message;
  });
}

/** A UUID's bytes to and from the order in which .NET keeps a Guid. */
function toGuidOrder(uuid: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(uuid.subarray(0, 4)).reverse(),
    Buffer.from(uuid.subarray(4, 6)).reverse(),
    Buffer.from(uuid.subarray(6, 8)).reverse(),
    uuid.subarray(8),
  ]);
}

function durably(act: (onDurable: () => void) => void): Promise<void> {
  return new Promise((resolve) => act(resolve));
}

function sessionOf(body: Readonly<Record<string, unknown>>): string {
  return String(body['session-id']);
}

function optionalText(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : String(value);
}

/** rhea gives longs above 2^53 as 8 bytes. */
export function integer(value: unknown): number {
  return Buffer.isBuffer(value) ? Number(value.readBigInt64BE()) : Number(value);
}

function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  const wrapped = record(value).value;
  return Array.isArray(wrapped) ? wrapped : [];
}
