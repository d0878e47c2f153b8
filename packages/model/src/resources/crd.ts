import { isRecord } from '../is-record.ts';
import type { KindInfo } from './kinds.ts';
import { API_GROUP } from './object-meta.ts';

type Json = Readonly<Record<string, unknown>>;

/** A schema says something that a structural schema of Kubernetes cannot. */
export class CrdError extends Error {
  readonly code = 'NotStructural';
  constructor(path: string, message: string) {
    super(`${path}: ${message}`);
    this.name = 'CrdError';
  }
}

/** Keywords that mean the same in both. */
const KEPT = ['pattern', 'format', 'minLength', 'maxLength', 'minimum', 'maximum', 'minItems', 'maxItems', 'minProperties', 'maxProperties'] as const;
/** Stated in another way: `additionalProperties: false` is what pruning does, defaults are applied by the program. */
const TRANSLATED = ['type', 'enum', 'properties', 'required', 'items', 'additionalProperties', 'description', 'default'] as const;

/**
 * The CustomResourceDefinition of a kind. Defaults stand in the descriptions only: written into objects they would freeze
 * what a later version may choose better, and show up as drift in GitOps.
 *
 * @throws {CrdError} for a schema that is not structural, or a field without a description.
 */
export function toCrd(info: KindInfo): Json {
  const { kind, plural, singular, shortNames, columns, description } = info;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${API_GROUP}` },
    spec: {
      group: API_GROUP,
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames: [...shortNames], categories: ['skiff'] },
      scope: 'Namespaced',
      versions: [
        {
          name: 'v1alpha1',
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns.map((column) => ({ ...column })),
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description,
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: { ...toStructural(info.spec, 'spec'), description: 'What is wanted.' },
                status: statusOf(info),
              },
            },
          },
        },
      ],
    },
  };
}

/** JSON Schema as TypeBox writes it → structural schema (Kubernetes, "Specifying a structural schema"). */
export function toStructural(schema: Json, path: string): Json {
  for (const keyword of Object.keys(schema)) {
    const known = [...KEPT, ...TRANSLATED].some((name) => name === keyword) || keyword.startsWith('x-');
    if (!known) throw new CrdError(path, `the keyword ${keyword} has no counterpart`);
  }
  const type = typeOf(schema, path);
  const description = describeField(schema);
  return {
    type,
    ...(description === '' ? {} : { description }),
    ...(schema.enum === undefined ? {} : { enum: schema.enum }),
    ...Object.fromEntries(KEPT.flatMap((keyword) => (schema[keyword] === undefined ? [] : [[keyword, schema[keyword]]]))),
    ...(type === 'integer' ? { format: 'int32' } : {}),
    ...(type === 'object' ? structuralObject(schema, path) : {}),
    ...(type === 'array' ? structuralArray(schema, path) : {}),
    ...Object.fromEntries(Object.entries(schema).filter(([keyword]) => keyword.startsWith('x-kubernetes-'))),
  };
}

/** The description with the default at its end, unless the text names it already. */
export function describeField(schema: Json): string {
  const text = typeof schema.description === 'string' ? schema.description : '';
  return schema.default === undefined ? text : `${text} Default: ${formatDefault(schema.default)}.`.trim();
}

export function formatDefault(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : String(value);
}

function typeOf(schema: Json, path: string): string {
  if (Array.isArray(schema.enum) && schema.enum.every((value) => typeof value === 'string')) return 'string';
  if (typeof schema.type !== 'string') throw new CrdError(path, 'it has no type');
  return schema.type;
}

function structuralObject(schema: Json, path: string): Json {
  // A map: any key.
  if (isRecord(schema.additionalProperties)) return { additionalProperties: toStructural(schema.additionalProperties, `${path}{}`) };
  if (schema.additionalProperties !== false) throw new CrdError(path, 'additionalProperties must be false');
  const properties = isRecord(schema.properties) ? schema.properties : {};
  const entries = Object.entries(properties).map(([name, child]) => {
    if (!isRecord(child)) throw new CrdError(`${path}.${name}`, 'it is no schema');
    const structural = toStructural(child, `${path}.${name}`);
    if (structural.description === undefined) throw new CrdError(`${path}.${name}`, 'it has no description');
    return [name, structural];
  });
  return { properties: Object.fromEntries(entries), ...(schema.required === undefined ? {} : { required: schema.required }) };
}

function structuralArray(schema: Json, path: string): Json {
  if (!isRecord(schema.items)) throw new CrdError(path, 'it has no items');
  // An atomic list is replaced as a whole by every server-side apply; none is to be so by accident.
  if (schema['x-kubernetes-list-type'] === undefined) throw new CrdError(path, 'it has no x-kubernetes-list-type');
  return { items: toStructural(schema.items, `${path}[]`) };
}

function statusOf(info: KindInfo): Json {
  return { type: 'object', description: 'What is.', properties: { ...CONDITIONS, ...info.status } };
}

/** `metav1.Condition`, as controller-gen writes it. */
const CONDITIONS: Json = {
  observedGeneration: { type: 'integer', format: 'int64', description: 'Generation of the spec that the status speaks of.' },
  conditions: {
    type: 'array',
    description:
      'Accepted: the spec makes sense. ResolvedRefs: what it names exists. Programmed: it is in force. Ready: the sum. Only while so: ClientAddressHidden, pods cannot judge source ranges; EventsDelayed, events wait for the event bus, or it has refused some.',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
    items: {
      type: 'object',
      required: ['type', 'status', 'reason', 'message', 'lastTransitionTime'],
      properties: {
        type: { type: 'string', maxLength: 316, description: 'Kind of the condition.' },
        status: { type: 'string', enum: ['True', 'False', 'Unknown'], description: 'Whether it holds.' },
        observedGeneration: { type: 'integer', format: 'int64', minimum: 0, description: 'Generation of the spec that it was found for.' },
        lastTransitionTime: { type: 'string', format: 'date-time', description: 'When the status last changed.' },
        reason: { type: 'string', minLength: 1, maxLength: 1024, pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$', description: 'One constant word.' },
        message: { type: 'string', maxLength: 32768, description: 'What is wrong and what to do.' },
      },
    },
  },
};
