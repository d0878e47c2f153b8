import rhea from 'rhea';
import { bareMessage, headOfMessage, withApplicationProperties } from './amqp-sections.ts';
import type { StoredMessage } from './stored-message.ts';

/** What the broker looks at in a message. */
export interface DecodedMessage {
  readonly messageId: string | undefined;
  readonly replyTo: string | undefined;
  readonly sessionId: string | undefined;
  readonly timeToLiveMs: number | undefined;
  readonly scheduledFor: number;
  readonly partitionKey: string | undefined;
  /** By the names that correlation filters use. */
  readonly system: Readonly<Record<string, unknown>>;
  readonly applicationProperties: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

const { message: codec, types } = rhea;
const decodeWithRhea = codec.decode.bind(codec);

/** @throws when the bytes are no AMQP message. */
export function decodeMessage(raw: Buffer): DecodedMessage {
  return describeMessage(decodeWithRhea(raw));
}

/** From rhea's own form of a decoded message. */
export function describeMessage(decoded: object): DecodedMessage {
  const field = (name: string): unknown => Reflect.get(decoded, name) ?? undefined;
  const annotations = record(field('message_annotations'));
  const system = {
    ContentType: field('content_type'),
    CorrelationId: field('correlation_id'),
    Label: field('subject'),
    MessageId: field('message_id'),
    ReplyTo: field('reply_to'),
    SessionId: field('group_id'),
    To: field('to'),
  };
  return {
    messageId: text(system.MessageId),
    replyTo: text(system.ReplyTo),
    sessionId: text(system.SessionId),
    timeToLiveMs: field('ttl') === undefined ? undefined : Number(field('ttl')),
    scheduledFor: Number(annotations['x-opt-scheduled-enqueue-time'] ?? 0),
    partitionKey: text(annotations['x-opt-partition-key']),
    system,
    applicationProperties: record(field('application_properties')),
    body: field('body'),
  };
}

/** The message as receivers get it: header and annotations are the broker's, the rest are the sender's bytes. */
export function encodeForReceiver(message: StoredMessage, lockedUntil?: number): Buffer {
  const annotations = {
    'x-opt-sequence-number': types.wrap_long(message.sequence),
    'x-opt-enqueue-sequence-number': types.wrap_long(message.sequence),
    'x-opt-enqueued-time': types.wrap_timestamp(message.enqueuedAt),
    ...(lockedUntil === undefined ? {} : { 'x-opt-locked-until': types.wrap_timestamp(lockedUntil) }),
    ...(message.state === 'deferred' ? { 'x-opt-message-state': types.wrap_int(1) } : {}),
    ...(message.state === 'scheduled' ? { 'x-opt-message-state': types.wrap_int(2) } : {}),
    ...(message.scheduledFor > 0 ? { 'x-opt-scheduled-enqueue-time': types.wrap_timestamp(message.scheduledFor) } : {}),
    ...(message.partitionKey === undefined ? {} : { 'x-opt-partition-key': message.partitionKey }),
  };
  const ttl = message.timeToLiveMs === undefined ? {} : { ttl: message.timeToLiveMs };
  const head = codec.encode({ durable: true, delivery_count: message.deliveryCount, ...ttl, message_annotations: annotations });
  return Buffer.concat([headOfMessage(head), message.body]);
}

/** The bare message with these application properties added. */
export function withProperties(bare: Buffer, added: Readonly<Record<string, unknown>>): Buffer {
  if (Object.keys(added).length === 0) return bare;
  const encoded = codec.encode({ application_properties: { ...decodeMessage(bare).applicationProperties, ...added } });
  return withApplicationProperties(bare, bareMessage(encoded));
}

export function withDeadLetterReason(
  bare: Buffer,
  why: { readonly reason: string | undefined; readonly description: string | undefined },
  added: Readonly<Record<string, unknown>>,
): Buffer {
  return withProperties(bare, {
    ...added,
    ...(why.reason === undefined ? {} : { DeadLetterReason: why.reason }),
    ...(why.description === undefined ? {} : { DeadLetterErrorDescription: why.description }),
  });
}

export function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function text(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  return Buffer.isBuffer(value) ? value.toString('hex') : String(value);
}
