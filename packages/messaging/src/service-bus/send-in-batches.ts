import type { ServiceBusMessage, ServiceBusMessageBatch, ServiceBusSender } from '@azure/service-bus';
import type { OutgoingMessage } from '../event-bus.ts';

/** Limit of Service Bus for message and session ids, in characters. */
const MAX_ID_LENGTH = 128;

/**
 * Sends the messages in order in as few batches as their size allows. Resolves when the broker has confirmed all but those that are too
 * large for a batch; these are returned.
 */
export async function sendInBatches(sender: ServiceBusSender, messages: readonly OutgoingMessage[], signal: AbortSignal): Promise<readonly OutgoingMessage[]> {
  const options = { abortSignal: signal };
  const large: OutgoingMessage[] = [];
  let batch: ServiceBusMessageBatch | undefined;
  for (const message of messages) {
    const vendorMessage = toServiceBusMessage(message);
    if (batch?.tryAddMessage(vendorMessage)) continue;
    if (batch !== undefined && batch.count > 0) await sender.sendMessages(batch, options);
    batch = await sender.createMessageBatch(options);
    if (!batch.tryAddMessage(vendorMessage)) large.push(message);
  }
  if (batch !== undefined && batch.count > 0) await sender.sendMessages(batch, options);
  return large;
}

/** A message alone may be larger than a batch (Premium: up to 100 MB). */
export function sendAlone(sender: ServiceBusSender, message: OutgoingMessage, signal: AbortSignal): Promise<void> {
  return sender.sendMessages(toServiceBusMessage(message), { abortSignal: signal });
}

/** What is wrong with a message's ids; the SDK refuses such with an error without a code, in the middle of a batch. */
export function idProblem({ messageId, sessionId }: OutgoingMessage): string | undefined {
  const wrong = messageId === '' || messageId.length > MAX_ID_LENGTH || (sessionId?.length ?? 0) > MAX_ID_LENGTH;
  return wrong ? `message and session ids have 1 to ${MAX_ID_LENGTH} characters` : undefined;
}

/** A queue that requires sessions takes no message without one: what need not be in order gets one of its own. */
export function withSession(message: OutgoingMessage): OutgoingMessage {
  return message.sessionId === undefined ? { ...message, sessionId: message.messageId } : message;
}

/** One list per session id, each in order: a batch takes the session of its first message. */
export function groupBySession(messages: readonly OutgoingMessage[]): OutgoingMessage[][] {
  return [...Map.groupBy(messages, ({ sessionId }) => sessionId).values()];
}

function toServiceBusMessage(message: OutgoingMessage): ServiceBusMessage {
  return {
    messageId: message.messageId,
    contentType: message.contentType,
    subject: message.subject,
    body: message.body,
    applicationProperties: { ...message.properties },
    ...(message.sessionId === undefined ? {} : { sessionId: message.sessionId }),
  };
}
