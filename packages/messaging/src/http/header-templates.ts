import type { DeliveryInput } from '../delivery-target.ts';
import { parseFieldTemplate } from '../field-template.ts';
import { encodeHeaderValue } from './cloud-event-request.ts';
import { HttpTargetError } from './http-target-error.ts';

export interface HeaderSpec {
  readonly name: string;
  readonly value: string;
}

/** Headers that belong to the protocol, to the event or to the signature; a route that sets one would break what it does not see. */
const OWN_HEADERS =
  /^(?:host|content-length|content-type|transfer-encoding|connection|keep-alive|upgrade|expect|te|trailer|proxy-.*|ce-.*|skiff-.*|webhook-.*)$/i;

/** The headers of a target, filled in per message. Fields are percent-encoded as CloudEvents attributes are. @throws {HttpTargetError} */
export function parseHeaderTemplates(specs: readonly HeaderSpec[]): (input: DeliveryInput) => Readonly<Record<string, string>> {
  const templates = specs.map(({ name, value }) => {
    if (!/^[A-Za-z0-9-]{1,64}$/.test(name) || OWN_HEADERS.test(name)) throw new HttpTargetError(`header ${name} cannot be set`);
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) throw new HttpTargetError(`the value of header ${name} holds characters that HTTP does not allow`);
    return { name: name.toLowerCase(), template: parseFieldTemplate(value, encodeHeaderValue) };
  });
  return (input) => Object.fromEntries(templates.map(({ name, template }) => [name, template.render(input)]));
}
