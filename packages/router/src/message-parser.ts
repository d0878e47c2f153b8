import { createHash } from 'node:crypto';
import type { IncomingMessage } from '@skiff/messaging/event-bus';
import { CLOUD_EVENTS_JSON } from '@skiff/model/file-event';
import { parseSkiffEvent } from '@skiff/model/parse-file-event';
import type { SkiffEvent } from '@skiff/model/skiff-event';

/** A message as the router handles it. `event` is set for events of ours; everything else that is JSON has only its body. */
export interface RoutableMessage {
  readonly kind: 'routable';
  readonly eventId: string;
  readonly event: SkiffEvent | undefined;
  /** The body, parsed. */
  readonly json: unknown;
  readonly body: Buffer;
  readonly contentType: string;
}
export type ParsedMessage = RoutableMessage | { readonly kind: 'notAnEvent'; readonly description: string };

/** Larger messages are refused: each may be held in memory and in a row of the database. */
export const MAX_MESSAGE_BYTES = 1024 * 1024;
const MAX_EVENT_ID_LENGTH = 128;

/** Reads a message from the queue. */
export function parseMessage(message: Pick<IncomingMessage, 'body' | 'contentType' | 'messageId'>): ParsedMessage {
  const { body, messageId } = message;
  if (body.length > MAX_MESSAGE_BYTES) return { kind: 'notAnEvent', description: `the body has ${body.length} bytes; ${MAX_MESSAGE_BYTES} are allowed` };
  const json = parseJson(body);
  if (json === undefined) return { kind: 'notAnEvent', description: `the body is not JSON (${body.length} bytes)` };
  const event = parseSkiffEvent(json.value);
  if (event !== undefined) return { kind: 'routable', eventId: boundedId(event.id), event, json: json.value, body, contentType: CLOUD_EVENTS_JSON };
  const eventId = messageId === undefined || messageId === '' ? `body-${sha256(body)}` : boundedId(messageId);
  return { kind: 'routable', eventId, event: undefined, json: json.value, body, contentType: boundedType(message.contentType) };
}

function parseJson(body: Buffer): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Ids are keys of rows; a foreign one that is too long, or that a collation could fold, is replaced by its hash. */
function boundedId(id: string): string {
  return id.length <= MAX_EVENT_ID_LENGTH && /^[\x21-\x7e]+$/.test(id) ? id : `id-${sha256(Buffer.from(id))}`;
}

/** Longer than any media type, and what a row holds. */
function boundedType(contentType: string | undefined): string {
  return contentType !== undefined && /^[\x20-\x7e]{1,255}$/.test(contentType) ? contentType : 'application/json';
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
