import type { TLocalizedValidationError } from 'typebox/error';
import { isRecord } from '../is-record.ts';

/** What is wrong with one field. */
export interface ResourceProblem {
  /** From the object's root: `['spec', 'authorizedKeys', 0, 'publicKey']`. */
  readonly path: readonly (string | number)[];
  /** Field, what is wrong, what to do; complete without the path. */
  readonly message: string;
}

type Path = readonly (string | number)[];
type Schema = Readonly<Record<string, unknown>>;

const MAX_SHOWN_LENGTH = 60;

/** `spec.authorizedKeys[0].publicKey` */
function formatFieldPath(path: Path): string {
  return path.reduce<string>((text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`), '');
}

/** Turns a validator's errors into sentences, and adds the rules that JSON Schema cannot state. */
export function explainErrors(schema: Schema, value: unknown, errors: readonly TLocalizedValidationError[]): readonly ResourceProblem[] {
  const problems = errors.flatMap((error) => explain(schema, value, error));
  const broken = new Set(problems.map((problem) => formatFieldPath(problem.path)));
  return [...problems, ...checkRules(schema, value, []).filter((problem) => !broken.has(formatFieldPath(problem.path)))];
}

function explain(root: Schema, value: unknown, error: TLocalizedValidationError): readonly ResourceProblem[] {
  const path = readPointer(error.instancePath, value);
  const schema = schemaAt(root, path);
  const actual = valueAt(value, path);
  const field = formatFieldPath(path) || 'the object';
  const problem = (message: string): readonly ResourceProblem[] => [{ path, message: `${field} ${message}` }];
  switch (error.keyword) {
    case 'boolean':
      // The twin of an `additionalProperties` error.
      return [];
    case 'additionalProperties':
      return error.params.additionalProperties.map((name) => ({ path: [...path, name], message: unknownField([...path, name], schema) }));
    case 'required':
      return error.params.requiredProperties.map((name) => required(root, [...path, name]));
    case 'type': {
      if (actual === undefined) return [required(root, path)];
      const hint = error.params.type === 'string' && (typeof actual === 'number' || typeof actual === 'boolean') ? '; put it in quotes' : '';
      return problem(`must be of type ${String(error.params.type)}, not ${typeName(actual)}${hint}`);
    }
    case 'enum':
      return problem(`must be one of ${error.params.allowedValues.join(', ')}, not ${show(actual)}`);
    case 'const':
      return problem(`must be ${String(error.params.allowedValue)}, not ${show(actual)}`);
    case 'pattern':
    case 'format':
      return problem(`is not valid: ${show(actual)}${describe(schema)}`);
    default:
      return problem(error.message);
  }
}

function required(root: Schema, path: Path): ResourceProblem {
  return { path, message: `${formatFieldPath(path)} is required${describe(schemaAt(root, path))}` };
}

function describe(schema: Schema): string {
  return typeof schema.description === 'string' ? `. ${schema.description}` : '';
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}…` : text;
}

function typeName(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

function unknownField(path: Path, schema: Schema): string {
  const name = String(path.at(-1));
  const known = Object.keys(isRecord(schema.properties) ? schema.properties : {});
  const near = known
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= Math.max(2, Math.floor(candidate.length / 3)) && distance < candidate.length - 1)
    .toSorted((left, right) => left.distance - right.distance)[0]?.candidate;
  const advice = near === undefined ? `known here: ${known.join(', ')}` : `did you mean ${near}?`;
  return `unknown field ${formatFieldPath(path)}, ${advice}`;
}

/** Levenshtein's. Field names are short; longer input is cut. */
function editDistance(left: string, right: string): number {
  const a = left.slice(0, 64);
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

/** Rules that the CRD states by `x-kubernetes-*` and CEL: unique list keys, exactly one of several fields. */
function checkRules(schema: Schema, value: unknown, path: Path): readonly ResourceProblem[] {
  const problems: ResourceProblem[] = [];
  const oneOf = schema['x-skiff-exactly-one-of'];
  if (Array.isArray(oneOf) && isRecord(value)) {
    const present = oneOf.filter((field: string) => value[field] !== undefined);
    const wanted = oneOf.length === 1 ? `needs ${oneOf[0]}` : `needs exactly one of ${oneOf.join(', ')}`;
    if (present.length !== 1) problems.push({ path, message: `${formatFieldPath(path)} ${wanted}; it has ${present.join(' and ') || 'none'}` });
  }
  if (Array.isArray(value)) {
    problems.push(...checkUnique(schema, value, path));
    const { items } = schema;
    if (isRecord(items)) problems.push(...value.flatMap((item: unknown, index) => checkRules(items, item, [...path, index])));
  }
  if (isRecord(value) && isRecord(schema.properties)) {
    for (const [name, child] of Object.entries(schema.properties)) {
      if (isRecord(child) && Object.hasOwn(value, name)) problems.push(...checkRules(child, value[name], [...path, name]));
    }
  }
  return problems;
}

function checkUnique(schema: Schema, items: readonly unknown[], path: Path): readonly ResourceProblem[] {
  const kind = schema['x-kubernetes-list-type'];
  if (kind !== 'map' && kind !== 'set') return [];
  const keys = kind === 'map' && Array.isArray(schema['x-kubernetes-list-map-keys']) ? schema['x-kubernetes-list-map-keys'] : [];
  const seen = new Map<string, number>();
  return items.flatMap((item, index) => {
    const key = JSON.stringify(kind === 'set' ? item : keys.map((name: string) => (isRecord(item) ? item[name] : undefined)));
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, index);
      return [];
    }
    const what = kind === 'set' ? 'the same value' : `the same ${keys.join(' and ')}`;
    return [{ path: [...path, index], message: `${formatFieldPath([...path, index])} has ${what} as entry ${first}; remove or rename one of them` }];
  });
}

/** Reads a JSON pointer (RFC 6901) along `value`, so that indices of arrays come out as numbers. */
function readPointer(pointer: string, value: unknown): Path {
  const path: (string | number)[] = [];
  let current = value;
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    path.push(Array.isArray(current) ? Number(key) : key);
    current = valueAt(current, path.slice(-1));
  }
  return path;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((current, part) => {
    if (typeof part === 'number') return Array.isArray(current) ? current[part] : undefined;
    return isRecord(current) && Object.hasOwn(current, part) ? current[part] : undefined;
  }, value);
}

function schemaAt(root: Schema, path: Path): Schema {
  return path.reduce<Schema>((schema, part) => {
    const properties = schema.properties;
    const next = typeof part === 'number' ? schema.items : isRecord(properties) && Object.hasOwn(properties, part) ? properties[part] : undefined;
    return isRecord(next) ? next : {};
  }, root);
}
