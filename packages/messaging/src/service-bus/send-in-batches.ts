import type { ServiceBusMessage, ServiceBusMessageBatch, ServiceBusSender } from '@azure/service-bus';
import { StoreError } from '@skiff/model/store-error';
import type { OutgoingMessage } from '../event-bus.ts';

/** Limit of Service Bus for message and session ids, in characters. */
const MAX_ID_LENGTH = 128;

/** Sends the messages in order in as few batches as their size allows. Resolves when the broker has confirmed all. */
export async function sendInBatches(sender: ServiceBusSender, messages: readonly OutgoingMessage[], signal: AbortSignal): Promise<void> {
  const options = { abortSignal: signal };
  let batch: ServiceBusMessageBatch | undefined;
  for (const message of messages) {
    const vendorMessage = toServiceBusMessage(message);
    if (batch?.tryAddMessage(vendorMessage)) continue;
    if (batch !== undefined) await sender.sendMessages(batch, options);
    batch = await sender.createMessageBatch(options);
    if (!batch.tryAddMessage(vendorMessage)) {
      throw new StoreError({ code: 'invalid', message: `the message is larger than ${batch.maxSizeInBytes} bytes`, vendorCode: 'MessageSizeExceeded' });
    }
  }
  if (batch !== undefined) await sender.sendMessages(batch, options);
}

/** The SDK refuses these with an error without a code, in the middle of a batch. @throws {StoreError} `invalid` */
export function checkIds(messages: readonly OutgoingMessage[]): void {
  for (const { messageId, sessionId } of messages) {
    if (messageId === '' || messageId.length > MAX_ID_LENGTH || (sessionId?.length ?? 0) > MAX_ID_LENGTH) {
      throw new StoreError({ code: 'invalid', message: `message and session ids have 1 to ${MAX_ID_LENGTH} characters` });
    }
  }
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
