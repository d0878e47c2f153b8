/** The layers of the workspace (docs: architecture) and the rules between them. Pure: files come in as text. */

export interface SourceFile {
  /** From the root, with slashes: `packages/model/src/permission.ts`. */
  readonly path: string;
  readonly text: string;
}

export interface Violation {
  readonly path: string;
  /** From 1. */
  readonly line: number;
  /** Which rule, and what to do. */
  readonly message: string;
}

export const LAYERS: Readonly<Record<string, number>> = {
  model: 0,
  policy: 1,
  runtime: 1,
  kube: 2,
  database: 2,
  credentials: 2,
  storage: 2,
  messaging: 2,
  'sftp-protocol': 2,
  operator: 3,
  'sftp-server': 3,
  router: 3,
  admin: 3,
  console: 3,
  cli: 3,
  skiff: 4,
};

/** Each is a vendor's view of the world; one package knows it, and translates. */
export const VENDORS: Readonly<Record<string, string>> = {
  pino: 'runtime',
  'prom-client': 'runtime',
  '@azure/identity': 'runtime',
  '@kubernetes/client-node': 'kube',
  mysql2: 'database',
  kysely: 'database',
  argon2: 'credentials',
  koffi: 'credentials',
  '@azure/storage-blob': 'storage',
  '@azure/service-bus': 'messaging',
  rhea: 'messaging',
  mqtt: 'messaging',
  undici: 'messaging',
  ssh2: 'sftp-protocol',
};

/** The one package that reads the environment. */
const ENVIRONMENT_READER = 'skiff';

/** What only tests may load: test files, contract suites, fakes, and folders of test parts. */
const TEST_FILE = /\.(?:test|contract|fake)\.ts$|\/testing\//;
/** The same among the modules that packages publish. */
const TEST_MODULE = /\/testing(?:\/|$)|[./](?:contract|fake)$/;

/** All rules over all files. Files outside `packages/` are not bound by layers. */
export function checkLayers(files: readonly SourceFile[]): readonly Violation[] {
  return files.flatMap((file) => {
    const owner = /^packages\/([^/]+)\//.exec(file.path)?.[1];
    return owner === undefined ? [] : checkFile(file, owner);
  });
}

function checkFile(file: SourceFile, owner: string): readonly Violation[] {
  const layer = LAYERS[owner];
  if (layer === undefined) return [{ path: file.path, line: 1, message: `the package ${owner} has no layer: add it to tools/layers.ts` }];
  const code = withoutComments(file.text);
  const imports = specifiersIn(code).flatMap(({ specifier, offset }) => {
    const message =
      testRule(file.path, specifier) ?? (specifier.startsWith('.') ? relativeRule(file.path, owner, specifier) : packageRule(owner, layer, specifier));
    return message === undefined ? [] : [{ path: file.path, line: lineAt(code, offset), message }];
  });
  return [...imports, ...environmentRule(file.path, owner, code)];
}

/** The image holds no tests, and a fake must never stand in for a real part. */
function testRule(path: string, specifier: string): string | undefined {
  if (TEST_FILE.test(path)) return undefined;
  const isForTests = specifier.startsWith('.') ? TEST_FILE.test(targetOf(path, specifier)) : specifier.startsWith('@skiff/') && TEST_MODULE.test(specifier);
  return isForTests || specifier.startsWith('node:test') ? `test rule: ${specifier} is for tests only` : undefined;
}

function packageRule(owner: string, layer: number, specifier: string): string | undefined {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  const home = VENDORS[name];
  if (home !== undefined && home !== owner) return `vendor rule: ${name} is imported in packages/${home} only; use what that package exports`;
  if (!name.startsWith('@skiff/')) return undefined;
  const target = name.slice('@skiff/'.length);
  const targetLayer = LAYERS[target];
  if (target === owner) return `own package by name: import ${specifier} by a relative path`;
  if (targetLayer === undefined) return `there is no package ${name}`;
  if (targetLayer < layer) return undefined;
  const direction = targetLayer === layer ? 'sideways' : 'upward';
  return `layer rule: ${owner} (L${layer}) must not import ${target} (L${targetLayer}): imports point strictly downward, this one points ${direction}`;
}

function relativeRule(path: string, owner: string, specifier: string): string | undefined {
  if (!targetOf(path, specifier).startsWith(`packages/${owner}/`))
    return `a relative import leaves the package: ${specifier}; import @skiff/<package>/<module>`;
  return /\.[a-z]+$/.test(specifier) ? undefined : `a relative import needs its extension: ${specifier}`;
}

/** From the root. */
function targetOf(path: string, specifier: string): string {
  return new URL(specifier, `file:///${path}`).pathname.slice(1);
}

/** A test may set what its child processes see and read its own switches; what runs in production may not. */
function environmentRule(path: string, owner: string, code: string): readonly Violation[] {
  if (owner === ENVIRONMENT_READER || TEST_FILE.test(path)) return [];
  return [
    ...code.matchAll(
      /\bprocess\s*(?:\?\.|\.)\s*env\b|\bprocess\s*\[\s*['"]env['"]|import\s*(?:type\s*)?\{[^}]*\benv\b[^}]*\}\s*from\s*['"](?:node:)?process['"]/g,
    ),
  ].map((match) => ({
    path,
    line: lineAt(code, match.index),
    message: `environment rule: process.env is read in packages/${ENVIRONMENT_READER} only; take the value as a parameter`,
  }));
}

/** `import … from 'x'`, `export … from 'x'`, `import 'x'`, `import('x')`, `require('x')`. */
function specifiersIn(code: string): readonly { readonly specifier: string; readonly offset: number }[] {
  const pattern = /\bfrom\s*(['"])([^'"\n]+)\1|\bimport\s*\(?\s*(['"])([^'"\n]+)\3|\brequire\s*\(\s*(['"])([^'"\n]+)\5/g;
  return [...code.matchAll(pattern)].map((match) => ({ specifier: match[2] ?? match[4] ?? match[6] ?? '', offset: match.index }));
}

/**
 * Comments become spaces, so that line numbers stay. Strings stay, as import specifiers are strings. Of templates only what is
 * interpolated stays: their text may be code for a child process.
 */
function withoutComments(text: string): string {
  const pattern = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`/g;
  return text.replace(pattern, (part) => {
    if (part.startsWith("'") || part.startsWith('"')) return part;
    return part.startsWith('`') ? part.replace(/\$\{[^}]*\}|[^\n]/g, (piece) => (piece.startsWith('${') ? piece : ' ')) : blank(part);
  });
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ');
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}
