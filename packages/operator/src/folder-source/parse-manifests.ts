import { isRecord } from '@skiff/model/is-record';
import type { SftpResource } from '@skiff/model/parse-resource';
import { Composer, type Document, isCollection, isMap, isNode, isScalar, LineCounter, Parser, YAMLError } from 'yaml';
import { type FieldPath, readObject } from './read-object.ts';
import type { SecretManifest } from './secret-manifest.ts';

/** Where in its file something stands; lines and columns count from 1. */
export interface ManifestPosition {
  readonly line: number;
  readonly column: number;
}

export interface ManifestProblem extends ManifestPosition {
  /** `Kind/namespace/name`, where the document got so far as to say it. */
  readonly ref: string | undefined;
  /** What is wrong and what to do. */
  readonly message: string;
}

export type ManifestObject = { readonly line: number } & (
  | { readonly kind: 'resource'; readonly resource: SftpResource }
  | { readonly kind: 'secret'; readonly secret: SecretManifest }
);

export interface ParsedManifests {
  /** By `Kind/namespace/name`. */
  readonly objects: ReadonlyMap<string, ManifestObject>;
  readonly problems: readonly ManifestProblem[];
  /** Kinds that are none of ours, such as `ConfigMap`, each once. */
  readonly ignoredKinds: readonly string[];
}

/** A manifest of ours has no use for aliases; this allows a few and refuses the bombs that multiply them. */
const MAX_ALIASES = 100;
/** Longest stretch of parsing before other work of the process gets its turn, in milliseconds. */
const SLICE_MS = 10;

/**
 * Reads a file of YAML documents: ours, `Secret`s, `List`s of them; other kinds are left out. A problem in one document leaves
 * the others as they are, except that after a syntax error nothing of the file counts: the bounds of its documents are not known.
 *
 * @throws only when `signal` aborts.
 */
export async function parseManifests(text: string, signal: AbortSignal): Promise<ParsedManifests> {
  const lines = new LineCounter();
  const state: ParseState = { lines, objects: new Map(), problems: [], ignoredKinds: new Set() };
  let sliceEndsAt = performance.now() + SLICE_MS;
  try {
    const composer = new Composer({ lineCounter: lines, prettyErrors: false, uniqueKeys: true, stringKeys: true });
    for (const document of composer.compose(new Parser(lines.addNewLine).parse(text))) {
      const [error] = document.errors;
      if (error !== undefined) return nothing(positionAt(lines, error.pos[0]), explainSyntax(error));
      readDocument(state, document);
      if (performance.now() < sliceEndsAt) continue;
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      sliceEndsAt = performance.now() + SLICE_MS;
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof YAMLError) return nothing(positionAt(lines, error.pos[0]), explainSyntax(error));
    // The parser recurses: thousands of brackets exhaust the stack.
    if (error instanceof RangeError) return nothing({ line: 1, column: 1 }, 'nested too deeply to be a manifest');
    throw error;
  }
  return { objects: state.objects, problems: state.problems, ignoredKinds: [...state.ignoredKinds] };
}

interface ParseState {
  readonly lines: LineCounter;
  readonly objects: Map<string, ManifestObject>;
  readonly problems: ManifestProblem[];
  readonly ignoredKinds: Set<string>;
}

function nothing(position: ManifestPosition, what: string): ParsedManifests {
  const message = `${what}; nothing of this file is taken until it is corrected`;
  return { objects: new Map(), problems: [{ ref: undefined, ...position, message }], ignoredKinds: [] };
}

/**
 * Words for the mistakes that people make. The parser's own messages are not passed on: they quote what it stumbled over, and
 * that may be the value of a Secret.
 */
const SYNTAX_HINTS: Readonly<Record<string, string>> = {
  BAD_INDENT: 'the indentation does not fit what stands above',
  TAB_AS_INDENT: 'a tab is used to indent; use spaces',
  DUPLICATE_KEY: 'the same field is given twice',
  MISSING_CHAR: 'a character such as ":", ",", "}", "]" or a closing quote is missing',
  BAD_SCALAR_START: 'a value starts with a reserved character; put it in quotes',
  MULTILINE_IMPLICIT_KEY: 'a ":" is missing or a line is indented too far',
  BLOCK_AS_IMPLICIT_KEY: 'a value with ":" in it needs quotes, or a line is indented too far',
  UNEXPECTED_TOKEN: 'something stands here that does not belong',
};

function explainSyntax(error: YAMLError): string {
  return `not valid YAML: ${SYNTAX_HINTS[error.code] ?? 'this cannot be read'} (${error.code})`;
}

function readDocument(state: ParseState, document: Document): void {
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    state.problems.push({ ref: undefined, ...positionOf(state, document, []), message: 'aliases (*name) are unresolved or too many; write the values out' });
    return;
  }
  // An empty document, such as comments between two separators.
  if (value === null || value === undefined) return;
  const items: unknown[] | undefined = isRecord(value) && isList(value.kind) && Array.isArray(value.items) ? value.items : undefined;
  if (items === undefined) addObject(state, document, { value, path: [] });
  else for (const [index, item] of items.entries()) addObject(state, document, { value: item, path: ['items', index] });
}

function isList(kind: unknown): boolean {
  return kind === 'List' || kind === 'SftpEndpointList' || kind === 'SftpUserList' || kind === 'EventRouteList' || kind === 'SecretList';
}

function addObject(state: ParseState, document: Document, item: { readonly value: unknown; readonly path: FieldPath }): void {
  const read = readObject(item.value);
  const position = positionOf(state, document, item.path);
  if (read.kind === 'ignored') {
    state.ignoredKinds.add(read.objectKind);
  } else if (read.kind === 'invalid') {
    for (const { path, message } of read.problems) {
      state.problems.push({ ref: read.ref, ...positionOf(state, document, [...item.path, ...path]), message });
    }
  } else if (state.objects.has(read.ref)) {
    state.problems.push({ ref: read.ref, ...position, message: 'defined twice in this file; the first one counts, remove the other' });
  } else {
    state.objects.set(read.ref, { ...read, line: position.line });
  }
}

/** The position of the deepest part of `path` that is written in the document. */
function positionOf(state: ParseState, document: Document, path: FieldPath): ManifestPosition {
  let node: unknown = document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const segment of path) {
    if (!isCollection(node)) break;
    const key = isMap(node) ? node.items.find((pair) => isScalar(pair.key) && pair.key.value === segment)?.key : undefined;
    const value: unknown = node.get(segment, true);
    if (!isNode(value)) break;
    offset = (isNode(key) ? key.range?.[0] : value.range?.[0]) ?? offset;
    node = value;
  }
  return positionAt(state.lines, offset);
}

function positionAt(lines: LineCounter, offset: number): ManifestPosition {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}
