import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRecord } from '@skiff/model/is-record';
import { parse } from 'yaml';
import type { Random } from '../../support/random.ts';
import { KEY } from '../manifests.ts';

const CRDS = join(import.meta.dirname, '..', '..', '..', 'crds');
const LONG = 'x'.repeat(250);
/** Hostile, odd and plain; a string takes one that its pattern and lengths let through. */
const TEXTS: readonly string[] = [
  ...[
    '',
    ' ',
    '\t',
    '\u0000',
    '\ufffd',
    '\u202eevil',
    'e\u0301',
    '\u00e9',
    'İ',
    'ß',
    '名前',
    '👩‍👩‍👧',
    'ü'.repeat(60),
    LONG,
    `a.${LONG.slice(4)}`,
    'z'.repeat(63),
  ],
  ...['a', '0', 'a.b', 'x--x', 'ann', 'Ann', 'ANN', 'ann@example.com', 'a+b', '__proto__', 'constructor', 'toString', 'null', 'true', '1e9', '-', '_'],
  ...[
    '/',
    '/..',
    '/a/../..',
    '/a//b',
    '/ü',
    '/%2e%2e',
    '/*',
    '/{x}',
    '/\u0000',
    'a/../..',
    '..',
    './',
    'home',
    '%2e%2e',
    '*',
    '**',
    '{{x}}',
    '$x',
    "'; DROP TABLE users; --",
  ],
  ...['10.0.0.0/8', '0.0.0.0/0', '0.0.0.0/99', '::/0', '::/129', '2001:db8::/32', '1.2.3.4', '1.2.3', '::ffff:10.0.0.1', '999.1.1.1/8', '10.0.0.1/8'],
  ...['2020-01-01T00:00:00Z', '2999-12-31T23:59:59.999999999+14:00', '2030-02-28T23:59:59-12:00', '2024-02-29T00:00:00Z'],
  ...[
    'http://app.example/x',
    'https://app.example:8443/ü?a=b',
    'https://[::1]/',
    'http://x',
    'https://user:password@host/',
    'http://300.300.300.300/',
    'https://%zz/',
  ],
  ...['amqp://rabbit', 'amqps://rabbit:5671', 'amqp://[::1]:5672', 'mqtt://broker', 'mqtts://broker:8883', 'sb://contoso.servicebus.windows.net/', 'sb://x'],
  ...[
    'contoso',
    'contoso.servicebus.windows.net',
    'files',
    'abc',
    'a-b-c',
    '11111111-2222-3333-4444-555555555555',
    'true &&',
    'subject == "a"',
    'data.sizeBytes > 0',
    'a'.repeat(1_000),
  ],
  ...[KEY, `${KEY} me@home`, 'ssh-rsa AAAA', 'ssh-ed25519 AAAA', '-----BEGIN', 'ssh-dss AAAAB3NzaC1kc3M=', KEY.slice(0, -4)],
];

export type Schema = Readonly<Record<string, unknown>>;

/** Fields that are not to be made of the schema alone, by name. */
export type Overrides = Readonly<Record<string, (random: Random) => unknown>>;

const FILES = { SftpEndpoint: 'skiff.dev_sftpendpoints.yaml', SftpUser: 'skiff.dev_sftpusers.yaml', EventRoute: 'skiff.dev_eventroutes.yaml' } as const;

/** Schema of `spec` in a CRD. */
export function specSchema(kind: keyof typeof FILES): Schema {
  const crd: unknown = parse(readFileSync(join(CRDS, FILES[kind]), 'utf8'));
  const versions = at(at(crd, 'spec'), 'versions');
  const schema = at(at(at(at(Array.isArray(versions) ? versions[0] : undefined, 'schema'), 'openAPIV3Schema'), 'properties'), 'spec');
  if (!isRecord(schema)) throw new Error(`${kind} has no schema`);
  return schema;
}

/** A value that the schema mostly lets through: now and then it does not. */
export function makeValue(schema: Schema, random: Random, overrides: Overrides): unknown {
  if (Array.isArray(schema.enum)) return random.pick(schema.enum);
  switch (schema.type) {
    case 'object':
      return objectOf(schema, random, overrides);
    case 'array': {
      const least = number(schema.minItems, 0);
      const items = isRecord(schema.items) ? schema.items : {};
      return Array.from({ length: random.integer(least, Math.max(least, Math.min(number(schema.maxItems, 3), 3))) }, () => makeValue(items, random, overrides));
    }
    case 'integer': {
      const [least, most] = [number(schema.minimum, 0), number(schema.maximum, 1_000)];
      return random.pick([least, most, random.integer(least, most)]);
    }
    case 'boolean':
      return random.next() < 0.5;
    default:
      return textOf(schema, random);
  }
}

const SHARE_OF_OPTIONAL = 0.35;
const SHARE_OF_WRONG = 0.01;

function objectOf(schema: Schema, random: Random, overrides: Overrides): unknown {
  const properties = isRecord(schema.properties) ? schema.properties : {};
  const required: readonly unknown[] = Array.isArray(schema.required) ? schema.required : [];
  const exclusive = exclusiveOf(schema);
  const chosen = exclusive.length === 0 ? undefined : random.pick(exclusive);
  const entries = Object.entries(properties).flatMap(([name, inner]): [string, unknown][] => {
    if (!isRecord(inner)) return [];
    const isWanted = exclusive.includes(name) ? name === chosen : required.includes(name) || random.next() < SHARE_OF_OPTIONAL;
    if (!isWanted) return [];
    const override = overrides[name];
    return [[name, override === undefined ? makeValue(inner, random, overrides) : override(random)]];
  });
  const extra = schema.additionalProperties;
  if (isRecord(extra)) {
    for (let left = random.integer(0, 2); left > 0; left--)
      entries.push([random.pick(['team', 'skiff.dev/x', 'ü', 'a b', '', 'a/b/c', LONG]), makeValue(extra, random, overrides)]);
  }
  return Object.fromEntries(entries);
}

/** Members of which there must be one: `(has(self.a) ? 1 : 0) + (has(self.b) ? 1 : 0) == 1`. */
function exclusiveOf(schema: Schema): readonly string[] {
  const rules = schema['x-kubernetes-validations'];
  if (!Array.isArray(rules)) return [];
  return rules.flatMap((rule: unknown) => [...String(at(rule, 'rule')).matchAll(/has\(self\.(\w+)\) \? 1 : 0/g)].map(([, name = '']) => name));
}

function textOf(schema: Schema, random: Random): string {
  if (random.next() < SHARE_OF_WRONG) return random.pick(TEXTS);
  const pattern = typeof schema.pattern === 'string' ? new RegExp(schema.pattern, 'u') : undefined;
  const [least, most] = [number(schema.minLength, 0), number(schema.maxLength, Number.POSITIVE_INFINITY)];
  const fitting = TEXTS.filter((text) => text.length >= least && text.length <= most && (pattern === undefined || pattern.test(text)));
  return fitting.length === 0 ? 'x' : random.pick(fitting);
}

function number(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}

function at(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined;
}
