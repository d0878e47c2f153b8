import type { DeliveryInput } from '../delivery-target.ts';
import { encodeUrlField, FieldTemplateError, parseFieldTemplate } from '../field-template.ts';
import { HttpTargetError } from './http-target-error.ts';

export interface UrlTemplate {
  readonly origin: string;
  /** Path and query for a message. @throws {FieldTemplateError} when a field is missing or would change the path's depth. */
  pathFor(input: DeliveryInput): string;
}

/** Reads a URL that may hold fields of the event after its host. @throws {HttpTargetError} */
export function parseUrlTemplate(text: string): UrlTemplate {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) throw new HttpTargetError('the URL is not an http or https address');
  if (url.username !== '' || url.password !== '') throw new HttpTargetError('the URL holds credentials');
  const rest = /^[^:]+:\/\/[^/?]*(.*)$/.exec(text)?.[1] ?? '';
  // A host that a field could choose would be anybody's.
  if (text.slice(0, text.length - rest.length).includes('{')) throw new HttpTargetError('fields may stand after the host only');
  const template = parseFieldTemplate(rest.startsWith('/') ? rest : `/${rest}`, encodeUrlField, encodeLiteral);
  return {
    origin: url.origin,
    pathFor(input) {
      const path = template.render(input);
      if (DOT_SEGMENT.test(path.split('?', 1)[0] ?? '')) throw new FieldTemplateError('the filled-in path has a . or .. segment');
      return path;
    },
  };
}

/** Servers resolve these, also when they are percent-encoded (URL Standard, "double-dot path segment"). */
const DOT_SEGMENT = /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i;

/** As a browser would: what is percent-encoded already stays so. */
function encodeLiteral(literal: string): string {
  return literal.replace(/[^\x21-\x7e]|["<>`{}|\\^]/gu, (character) => encodeURIComponent(character.toWellFormed()));
}
