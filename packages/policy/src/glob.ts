/**
 * Globs over virtual paths: `*` and `?` stay within a name, `**` as a whole segment spans any number of directories, `[a-z]` and
 * `[!a-z]` are one character, `{a,b}` is either. Dots are not special; there is no escape.
 *
 * Matched without regular expressions: product teams write the patterns, and `*a*a*a*b` as a regular expression takes longer than
 * anybody can wait. Here the work is at most pattern length × path length per alternative.
 */
export interface Glob {
  matches(path: string): boolean;
}

/** A pattern that is none. */
export class GlobError extends Error {
  readonly code = 'InvalidGlob';
  constructor(pattern: string, reason: string) {
    super(`glob ${JSON.stringify(pattern)}: ${reason}`);
    this.name = 'GlobError';
  }
}

const MAX_ALTERNATIVES = 16;
const MAX_PATTERN_LENGTH = 1024;

type Token =
  | { readonly kind: 'star' }
  | { readonly kind: 'any' }
  | { readonly kind: 'char'; readonly char: string }
  | { readonly kind: 'set'; readonly negated: boolean; readonly ranges: readonly (readonly [string, string])[] };
type Segment = 'globstar' | readonly Token[];

/** @throws {GlobError} that says what is wrong with the pattern. */
export function parseGlob(pattern: string): Glob {
  if (pattern.length > MAX_PATTERN_LENGTH) throw new GlobError(pattern.slice(0, 64), `it is longer than ${MAX_PATTERN_LENGTH} characters`);
  if (!/^(\/|\*\*(\/|$))/.test(pattern)) throw new GlobError(pattern, 'start it with / (from the root of the user) or with **/ (anywhere)');
  const alternatives = expandBraces(pattern, pattern).map((alternative) =>
    alternative
      .split('/')
      .filter(Boolean)
      .map((text) => parseSegment(text, pattern)),
  );
  return {
    matches(path) {
      const names = path
        .split('/')
        .filter(Boolean)
        .map((name) => [...name]);
      return alternatives.some((segments) => matchSequence(segments, names, isGlobstar, matchesName));
    },
  };
}

function isGlobstar(segment: Segment): boolean {
  return segment === 'globstar';
}

function matchesName(segment: Segment, name: readonly string[]): boolean {
  return segment !== 'globstar' && matchSequence(segment, name, (token) => token.kind === 'star', matchesChar);
}

function matchesChar(token: Token, char: string): boolean {
  switch (token.kind) {
    case 'star':
    case 'any':
      return true;
    case 'char':
      return token.char === char;
    case 'set':
      return token.ranges.some(([from, to]) => from <= char && char <= to) !== token.negated;
  }
}

/** Wildcard matching that only ever goes back to the last star: enough, since an earlier star can take no more than a later one. */
function matchSequence<Part, Item>(
  parts: readonly Part[],
  items: readonly Item[],
  isStar: (part: Part) => boolean,
  one: (part: Part, item: Item) => boolean,
): boolean {
  let part = 0;
  let item = 0;
  let afterStar = -1;
  let starItem = 0;
  while (item < items.length) {
    const current = parts[part];
    const next = items[item];
    if (current !== undefined && isStar(current)) {
      afterStar = ++part;
      starItem = item;
    } else if (current !== undefined && next !== undefined && one(current, next)) {
      part++;
      item++;
    } else if (afterStar >= 0) {
      part = afterStar;
      item = ++starItem;
    } else {
      return false;
    }
  }
  return parts.slice(part).every(isStar);
}

function parseSegment(text: string, pattern: string): Segment {
  if (text === '**') return 'globstar';
  const chars = [...text];
  const tokens: Token[] = [];
  for (let index = 0; index < chars.length; index++) {
    const char = chars[index] ?? '';
    if (char === '*') {
      if (tokens.at(-1)?.kind !== 'star') tokens.push({ kind: 'star' });
    } else if (char === '?') {
      tokens.push({ kind: 'any' });
    } else if (char === '[') {
      const end = chars.indexOf(']', index + 2);
      if (end < 0) throw new GlobError(pattern, 'a [ has no ] in the same name');
      tokens.push(parseSet(chars.slice(index + 1, end), pattern));
      index = end;
    } else {
      tokens.push({ kind: 'char', char });
    }
  }
  return tokens;
}

function parseSet(chars: readonly string[], pattern: string): Token {
  const negated = chars[0] === '!' || chars[0] === '^';
  const members = negated ? chars.slice(1) : chars;
  if (members.length === 0) throw new GlobError(pattern, 'a [] is empty');
  const ranges: [string, string][] = [];
  for (let index = 0; index < members.length; index++) {
    const from = members[index] ?? '';
    const to = members[index + 1] === '-' ? members[index + 2] : undefined;
    ranges.push([from, to ?? from]);
    if (to !== undefined) index += 2;
  }
  return { kind: 'set', negated, ranges };
}

/** `/a/{b,c}/*.{x,y}` → four patterns. Bounded; braces do not nest. */
function expandBraces(text: string, pattern: string): readonly string[] {
  const match = /^([^{}]*)\{([^{}]*)\}(.*)$/s.exec(text);
  if (match === null) {
    if (/[{}]/.test(text)) throw new GlobError(pattern, 'braces must come in pairs and cannot be nested');
    return [text];
  }
  const [, head = '', body = '', tail = ''] = match;
  const tails = expandBraces(tail, pattern);
  const choices = body.split(',');
  if (choices.length * tails.length > MAX_ALTERNATIVES) throw new GlobError(pattern, `its braces make more than ${MAX_ALTERNATIVES} alternatives`);
  return choices.flatMap((choice) => tails.map((rest) => `${head}${choice}${rest}`));
}
