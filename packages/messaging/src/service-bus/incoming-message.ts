import type { ServiceBusReceivedMessage } from '@azure/service-bus';
import type { IncomingMessage } from '../event-bus.ts';

/** The SDK's message as the port has it. Its delivery count is that of the wire, which begins with 0. */
export function toIncomingMessage(message: ServiceBusReceivedMessage, ordered: boolean): IncomingMessage {
  const { sessionId, sequenceNumber } = message;
  return {
    messageId: message.messageId === undefined ? undefined : String(message.messageId),
    contentType: message.contentType,
    body: bodyBytes(message.body),
    enqueuedAt: message.enqueuedTimeUtc,
    deliveryCount: (message.deliveryCount ?? 0) + 1,
    ...(!ordered || sessionId === undefined || sequenceNumber === undefined ? {} : { order: { sessionId, sequence: BigInt(sequenceNumber.toString()) } }),
  };
}

function bodyBytes(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  if (typeof body === 'string') return Buffer.from(body);
  return Buffer.from(JSON.stringify(body ?? null));
}
