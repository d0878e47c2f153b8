import type { EventPublisher, OutgoingMessage } from '@skiff/messaging/event-bus';
import { MessagesRefusedError } from '@skiff/messaging/messages-refused-error';
import { CLOUD_EVENTS_JSON } from '@skiff/model/file-event';
import type { SkiffEvent } from '@skiff/model/skiff-event';

/** The event as a message. Its id follows from the event's, so that every sending has the same. */
export function toMessage(event: SkiffEvent): OutgoingMessage {
  return {
    messageId: event.id,
    contentType: CLOUD_EVENTS_JSON,
    subject: event.type,
    body: Buffer.from(JSON.stringify(event)),
    properties: { type: event.type, source: event.source, username: event.data.username },
  };
}

/**
 * Sends a batch. Returns, by event id, why the bus will never take some of it; all others are confirmed then. Rejects when it is not known
 * what has arrived. Without a publisher there is nobody to send to.
 */
export async function publishBatch(
  publisher: EventPublisher | undefined,
  messages: readonly OutgoingMessage[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  try {
    await publisher?.publish(messages, signal);
    return new Map();
  } catch (error) {
    if (error instanceof MessagesRefusedError) return error.refused;
    throw error;
  }
}
