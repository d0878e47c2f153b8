import type { ServiceBusReceivedMessage } from '@azure/service-bus';
import type { IncomingMessage } from '../event-bus.ts';

/** The SDK's message as the port has it. Its delivery count is that of the wire, which begins with 0. */
export function toIncomingMessage(message: ServiceBusReceivedMessage): IncomingMessage {
  return {
    messageId: message.messageId === undefined ? undefined : String(message.messageId),
    contentType: message.contentType,
    body: bodyBytes(message.body),
    enqueuedAt: message.enqueuedTimeUtc,
    deliveryCount: (message.deliveryCount ?? 0) + 1,
  };
}

function bodyBytes(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  if (typeof body === 'string') return Buffer.from(body);
  return Buffer.from(JSON.stringify(body ?? null));
}
