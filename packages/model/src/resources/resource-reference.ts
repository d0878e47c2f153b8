import { isRecord } from '../is-record.ts';
import { formatDefault } from './crd.ts';
import { KINDS, type KindInfo } from './kinds.ts';
import { API_VERSION } from './object-meta.ts';

type Json = Readonly<Record<string, unknown>>;

/** The reference of all kinds and fields, in Markdown. */
export function toReference(): string {
  const intro = `# Resources\n\nAPI version \`${API_VERSION}\`. The same text is shown by \`kubectl explain <kind>.spec\`. Fields that are not listed are refused.\n`;
  return `${[intro, ...KINDS.map(section)].join('\n')}`;
}

function section({ kind, plural, shortNames, description, spec }: KindInfo): string {
  const rows = fieldsOf(spec, 'spec', true).map(
    ({ path, type, required, fallback, text }) => `| \`${path}\` | ${type} | ${required ? 'yes' : ''} | ${fallback} | ${text} |`,
  );
  const names = [plural, ...shortNames].map((name) => `\`${name}\``).join(', ');
  return [
    `## ${kind}`,
    '',
    description,
    '',
    `Names for kubectl: ${names}.`,
    '',
    '| Field | Type | Required | Default | Meaning |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

interface Field {
  readonly path: string;
  readonly type: string;
  readonly required: boolean;
  readonly fallback: string;
  readonly text: string;
}

function fieldsOf(schema: Json, path: string, top = false): readonly Field[] {
  const own = schema.items;
  if (isRecord(own)) return fieldsOf(own, `${path}[]`);
  const properties = isRecord(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(properties).flatMap(([name, child]) => {
    if (!isRecord(child)) return [];
    const childPath = top ? `spec.${name}` : `${path}.${name}`;
    const fallback = child.default === undefined ? '' : `\`${formatDefault(child.default)}\``;
    const text = cell(`${typeof child.description === 'string' ? child.description : ''} ${rulesOf(child)}`.trim());
    return [{ path: childPath, type: typeName(child), required: required.includes(name), fallback, text }, ...fieldsOf(child, childPath)];
  });
}

function typeName(schema: Json): string {
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (isRecord(schema.items)) return `list of ${typeName(schema.items)}`;
  if (isRecord(schema.additionalProperties)) return `map of ${typeName(schema.additionalProperties)}`;
  if (schema.format === 'date-time') return 'time';
  return String(schema.type);
}

/** Bounds that the schema checks. */
function rulesOf(schema: Json): string {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems } = schema;
  const range = (from: unknown, to: unknown, unit: string): string => {
    if (to === undefined) return '';
    return `${from === undefined ? 'At most' : `${String(from)} to`} ${String(to)}${unit}.`;
  };
  const keys = schema['x-kubernetes-list-map-keys'];
  const unique = Array.isArray(keys) ? `Unique by \`${keys.join(', ')}\`.` : '';
  return [range(minimum, maximum, ''), range(minLength, maxLength, ' characters'), range(minItems, maxItems, ' entries'), unique].filter(Boolean).join(' ');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
