import Type from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { isRecord } from '../is-record.ts';
import type { ResourceStatus } from './condition.ts';
import { type EventRoute, EventRouteSpec } from './event-route.ts';
import { explainErrors, type ResourceProblem } from './explain-errors.ts';
import { API_VERSION, type ObjectMeta, type ResourceKind } from './object-meta.ts';
import { OBJECT_NAME_PATTERN } from './schema-parts.ts';
import { type SftpEndpoint, SftpEndpointSpec } from './sftp-endpoint.ts';
import { type SftpUser, SftpUserSpec } from './sftp-user.ts';

export type SftpResource = SftpEndpoint | SftpUser | EventRoute;

export type { ResourceProblem };

export type ParsedResource =
  | { readonly ok: true; readonly resource: SftpResource }
  /** `errors` are the texts of `problems`: field, what is wrong, what to do. At most a handful at a time. */
  | { readonly ok: false; readonly errors: readonly string[]; readonly problems: readonly ResourceProblem[] };

const Labels = Type.Record(Type.String(), Type.String());

/** The API server adds fields that are none of our business (`managedFields`), so unknown ones are left alone here. */
const Metadata = Type.Object({
  name: Type.String({ pattern: OBJECT_NAME_PATTERN, maxLength: 253, description: 'Name of the object: lower-case letters, digits, "-" and ".".' }),
  namespace: Type.String({ pattern: OBJECT_NAME_PATTERN, maxLength: 253, description: 'Namespace of the object.' }),
  uid: Type.String({ minLength: 1 }),
  generation: Type.Integer({ minimum: 0 }),
  resourceVersion: Type.Optional(Type.String()),
  creationTimestamp: Type.String({ format: 'date-time' }),
  deletionTimestamp: Type.Optional(Type.String({ format: 'date-time' })),
  labels: Type.Optional(Labels),
  annotations: Type.Optional(Labels),
  finalizers: Type.Optional(Type.Array(Type.String())),
});

const Envelope = {
  apiVersion: Type.Literal(API_VERSION),
  metadata: Type.Unsafe<ObjectMeta>(Metadata),
  status: Type.Optional(Type.Unsafe<ResourceStatus>(Type.Object({}))),
};

const SCHEMAS = {
  SftpEndpoint: Type.Object({ ...Envelope, kind: Type.Literal('SftpEndpoint'), spec: SftpEndpointSpec }, { additionalProperties: false }),
  SftpUser: Type.Object({ ...Envelope, kind: Type.Literal('SftpUser'), spec: SftpUserSpec }, { additionalProperties: false }),
  EventRoute: Type.Object({ ...Envelope, kind: Type.Literal('EventRoute'), spec: EventRouteSpec }, { additionalProperties: false }),
} as const;

// Compiled on first use: importing a module does no work.
const validators = new Map<ResourceKind, Validator>();

function validatorOf(kind: ResourceKind): Validator {
  const known = validators.get(kind);
  if (known !== undefined) return known;
  const validator = Compile(SCHEMAS[kind]);
  validators.set(kind, validator);
  return validator;
}

function conforms<Kind extends ResourceKind>(kind: Kind, value: unknown): value is Extract<SftpResource, { kind: Kind }> {
  return validatorOf(kind).Check(value);
}

/**
 * Reads one object of the group `skiff.dev`, as an API server hands it out or as a folder of YAML fills it up. Fields that the
 * schema does not know are refused; defaults are not written into the spec. Beyond the schema, the rules hold that the CRD
 * states for the API server: unique keys of lists, exactly one kind of storage, events and target.
 */
export function parseResource(value: unknown): ParsedResource {
  if (!isRecord(value)) return refuse([{ path: [], message: 'not an object: a manifest has apiVersion, kind, metadata and spec' }]);
  switch (value.kind) {
    case 'SftpEndpoint':
      return parseAs('SftpEndpoint', value);
    case 'SftpUser':
      return parseAs('SftpUser', value);
    case 'EventRoute':
      return parseAs('EventRoute', value);
    default:
      return refuse([{ path: ['kind'], message: 'kind must be one of SftpEndpoint, SftpUser, EventRoute' }]);
  }
}

function parseAs(kind: ResourceKind, value: unknown): ParsedResource {
  const wellFormed = conforms(kind, value);
  const problems = explainErrors({ ...SCHEMAS[kind] }, value, wellFormed ? [] : validatorOf(kind).Errors(value));
  if (wellFormed && problems.length === 0) return { ok: true, resource: value };
  return refuse(problems);
}

function refuse(problems: readonly ResourceProblem[]): ParsedResource {
  return { ok: false, errors: problems.map((problem) => problem.message), problems };
}
