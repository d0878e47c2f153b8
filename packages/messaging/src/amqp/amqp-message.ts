import rhea, { type Message } from 'rhea';
import type { IncomingMessage, OutgoingMessage } from '../event-bus.ts';

/** AMQP type code of a data section (part 3 §3.2.6). */
const DATA_SECTION = 0x75;

export function toAmqpMessage(message: OutgoingMessage): Message {
  return {
    message_id: message.messageId,
    content_type: message.contentType,
    subject: message.subject,
    creation_time: new Date(),
    durable: true,
    // Artemis drops a second message with the same value (its duplicate detection for every protocol).
    application_properties: { ...message.properties, _AMQ_DUPL_ID: message.messageId },
    body: rhea.message.data_section(message.body),
    ...(message.sessionId === undefined ? {} : { group_id: message.sessionId }),
  };
}

/** A copy for the dead-letter address, with the reason where Service Bus has it. */
export function toDeadLetter(message: Message, reason: string, description: string): Message {
  const { _AMQ_DUPL_ID: _, ...properties } = message.application_properties ?? {};
  return {
    ...(message.message_id === undefined ? {} : { message_id: message.message_id }),
    ...(message.content_type === undefined ? {} : { content_type: message.content_type }),
    ...(message.subject === undefined ? {} : { subject: message.subject }),
    durable: true,
    application_properties: { ...properties, DeadLetterReason: reason, DeadLetterErrorDescription: description.slice(0, 1000) },
    body: rhea.message.data_section(bodyOf(message)),
  };
}

export function toIncomingMessage(message: Message, attempt: number): IncomingMessage {
  const createdAt: unknown = message.creation_time;
  return {
    messageId: messageIdOf(message),
    contentType: typeof message.content_type === 'string' ? message.content_type : undefined,
    body: bodyOf(message),
    enqueuedAt: createdAt instanceof Date ? createdAt : typeof createdAt === 'number' ? new Date(createdAt) : undefined,
    deliveryCount: Math.max(attempt, (message.delivery_count ?? 0) + 1),
  };
}

/** Ids may be strings, numbers, UUIDs or bytes (part 3 §3.2.4). */
export function messageIdOf(message: Message): string | undefined {
  const id: unknown = message.message_id;
  if (id === undefined || id === null) return undefined;
  return Buffer.isBuffer(id) ? id.toString('hex') : String(id);
}

function bodyOf({ body }: Message): Buffer {
  if (isSection(body) && body.typecode === DATA_SECTION) {
    const parts: readonly unknown[] = Array.isArray(body.content) ? body.content : [body.content];
    return Buffer.concat(parts.filter((part) => Buffer.isBuffer(part)));
  }
  const value: unknown = isSection(body) ? body.content : body;
  if (Buffer.isBuffer(value)) return value;
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value ?? null));
}

function isSection(body: unknown): body is { readonly typecode: number; readonly content: unknown } {
  return typeof body === 'object' && body !== null && 'typecode' in body && 'content' in body;
}
