import type { DeliveryInput } from './delivery-target.ts';

/** The message has not what a template asks for; another try will find the same. */
export class FieldTemplateError extends Error {
  readonly code = 'FieldMissing';
  constructor(message: string) {
    super(message);
    this.name = 'FieldTemplateError';
  }
}

/** Makes a field's value safe where it is put. `keepSlashes`: it was written `{+field}`. */
export type EncodeField = (value: string, keepSlashes: boolean) => string;

export interface FieldTemplate {
  /** @throws {FieldTemplateError} for a field that the message lacks, or that is no string, number or boolean. */
  render(input: DeliveryInput): string;
}

const FIELD = /\{(\+?)([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\}/g;
const MAX_RENDERED_LENGTH = 8192;

/**
 * A text with fields of the event in it, such as `files/{data.username}`: names lead through the event's JSON (for messages of other
 * systems through their body). Everything else is taken as it stands; `encodeLiteral` may adapt it.
 */
export function parseFieldTemplate(text: string, encode: EncodeField, encodeLiteral: (literal: string) => string = (literal) => literal): FieldTemplate {
  const parts: { readonly literal: string; readonly field?: { readonly path: readonly string[]; readonly keepSlashes: boolean } }[] = [];
  let end = 0;
  for (const match of text.matchAll(FIELD)) {
    parts.push({ literal: encodeLiteral(text.slice(end, match.index)), field: { path: (match[2] ?? '').split('.'), keepSlashes: match[1] === '+' } });
    end = match.index + match[0].length;
  }
  const tail = encodeLiteral(text.slice(end));
  if (parts.length === 0) return { render: () => tail };
  return {
    render(input) {
      const json: unknown = input.event ?? JSON.parse(input.body.toString('utf8'));
      let rendered = '';
      for (const { literal, field } of parts) rendered += literal + (field === undefined ? '' : encode(fieldOf(json, field.path), field.keepSlashes));
      rendered += tail;
      if (rendered.length > MAX_RENDERED_LENGTH) throw new FieldTemplateError(`the filled-in template has more than ${MAX_RENDERED_LENGTH} characters`);
      return rendered;
    },
  };
}

function fieldOf(json: unknown, path: readonly string[]): string {
  let value: unknown = json;
  for (const name of path)
    value = typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
  if (typeof value === 'string') return value.toWellFormed();
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new FieldTemplateError(`the message has no field ${path.join('.')}`);
}

/** For paths and queries of URLs: everything but unreserved characters is percent-encoded (RFC 3986). */
export function encodeUrlField(value: string, keepSlashes: boolean): string {
  return keepSlashes ? value.split('/').map(encodeUrlSegment).join('/') : encodeUrlSegment(value);
}

function encodeUrlSegment(value: string): string {
  return encodeURIComponent(value).replace(/[!'()*]/g, percent);
}

/** For MQTT topics: wildcards, level separators, control characters and `%` are percent-encoded (MQTT 5 §4.7). */
export function encodeTopicField(value: string, keepSlashes: boolean): string {
  const encoded = value.replace(/[%+#\u0000-\u001f\u007f-\u009f]/g, percent);
  return keepSlashes ? encoded : encoded.replaceAll('/', '%2F');
}

function percent(character: string): string {
  return [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
