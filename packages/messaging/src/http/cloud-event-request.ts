import { CLOUD_EVENTS_JSON } from '@skiff/model/file-event';
import type { DeliveryInput } from '../delivery-target.ts';

/** How an event lies in an HTTP request: the whole event as JSON, or attributes as headers and the data as body. */
export type ContentMode = 'Structured' | 'Binary';

export interface EncodedRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** CloudEvents HTTP protocol binding 1.0.2. A message that is no event of ours is passed on as it came. */
export function encodeRequest(input: DeliveryInput, mode: ContentMode): EncodedRequest {
  if (input.event === undefined) return { headers: { 'content-type': safeContentType(input.contentType) }, body: input.body };
  if (mode === 'Structured') return { headers: { 'content-type': `${CLOUD_EVENTS_JSON}; charset=utf-8` }, body: input.body };
  const { data, datacontenttype, ...attributes } = input.event;
  const headers: Record<string, string> = { 'content-type': datacontenttype };
  for (const [name, value] of Object.entries<unknown>(attributes)) {
    // Attribute names are lower-case letters and digits (CloudEvents 1.0.2, naming conventions).
    if (!/^[a-z0-9]{1,64}$/.test(name)) continue;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') headers[`ce-${name}`] = encodeHeaderValue(String(value));
  }
  return { headers, body: Buffer.from(JSON.stringify(data)) };
}

/**
 * Percent-encodes an attribute (HTTP binding §3.1.3.2): space, `"`, `%` and everything outside U+0021 to U+007E, as UTF-8 bytes.
 * The inverse is one round of percent-decoding.
 */
export function encodeHeaderValue(value: string): string {
  if (/^[!#$&-~]*$/.test(value)) return value;
  let encoded = '';
  for (const byte of Buffer.from(value, 'utf8')) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** Message properties are the sender's; only a well-formed media type becomes a header. */
function safeContentType(contentType: string): string {
  return /^[\x21-\x7e][\x20-\x7e]{0,254}$/.test(contentType) ? contentType : 'application/json';
}
