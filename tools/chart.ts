/**
 * Writes what the chart holds of other sources: its copy of `crds/`, and the table of values in its README, from the comments of
 * values.yaml. `--check` writes nothing and fails when a file differs or a value has no comment.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';

const root = join(import.meta.dirname, '..');
const CHART = 'charts/skiff';
const CRD_COPY = `${CHART}/files/crds`;
const README = `${CHART}/README.md`;
const TABLE = /(<!-- values: [^\n]*-->\n)[\s\S]*(<!-- \/values -->)/;

interface Value {
  readonly path: string;
  readonly preset: string;
  readonly text: string;
}

/** Values with the comment above each, `# -- …`; a map whose comment says so is one value. @throws when a value has none. */
export function readValues(yaml: string): readonly Value[] {
  const document = parseDocument(yaml);
  if (!isMap(document.contents)) throw new Error('values.yaml is no map');
  return valuesOf(document.contents, '');
}

function valuesOf(map: YAMLMap, prefix: string): readonly Value[] {
  return map.items.flatMap((pair, index) => {
    const path = `${prefix}${isScalar(pair.key) ? String(pair.key.value) : ''}`;
    const text = commentOf(pair, index === 0 ? map.commentBefore : undefined);
    if (text !== undefined) return [{ path, preset: JSON.stringify(isScalar(pair.value) ? pair.value.value : toPlain(pair.value)), text }];
    if (isMap(pair.value)) return valuesOf(pair.value, `${path}.`);
    throw new Error(`${path} has no comment "# -- …" above it`);
  });
}

function commentOf(pair: Pair, ofMap: string | null | undefined): string | undefined {
  const above = [ofMap, isScalar(pair.key) ? pair.key.commentBefore : undefined].find((text) => text?.trimStart().startsWith('-- '));
  return above
    ?.split('\n')
    .map((line) => line.trim())
    .join(' ')
    .replace(/^-- /, '');
}

function toPlain(node: unknown): unknown {
  return typeof node === 'object' && node !== null && 'toJSON' in node && typeof node.toJSON === 'function' ? node.toJSON() : node;
}

/** Columns as wide as their widest cell, as the formatter wants them. */
function table(values: readonly Value[]): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = [['Value', 'Default', 'Meaning'], ...values.map(({ path, preset, text }) => [`\`${path}\``, `\`${cell(preset)}\``, cell(text)])];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => `| ${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join(' | ')} |`);
  return [lines[0], `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...lines.slice(1)].join('\n');
}

function generated(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const name of readdirSync(join(root, 'crds'))) files.set(`${CRD_COPY}/${name}`, readFileSync(join(root, 'crds', name), 'utf8'));
  const readme = readFileSync(join(root, README), 'utf8');
  const values = readValues(readFileSync(join(root, CHART, 'values.yaml'), 'utf8'));
  files.set(
    README,
    readme.replace(TABLE, (_all, start: string, end: string) => `${start}\n${table(values)}\n\n${end}`),
  );
  return files;
}

function isCurrent(path: string, content: string): boolean {
  const present = readdirSync(join(root, path, '..')).some((name) => path.endsWith(`/${name}`));
  return present && readFileSync(join(root, path), 'utf8') === content;
}

function main(): void {
  const files = generated();
  const stale = [...files].filter(([path, content]) => !isCurrent(path, content));
  const superfluous = readdirSync(join(root, CRD_COPY))
    .map((name) => `${CRD_COPY}/${name}`)
    .filter((path) => !files.has(path));
  if (process.argv.includes('--check')) {
    for (const path of [...stale.map(([name]) => name), ...superfluous]) console.error(`${path} is out of date: run tools/node tools/chart.ts`);
    process.exitCode = stale.length + superfluous.length === 0 ? 0 : 1;
    return;
  }
  for (const [path, content] of stale) {
    writeFileSync(join(root, path), content);
    console.log(`wrote ${path}`);
  }
  for (const path of superfluous) rmSync(join(root, path));
}

if (import.meta.main) main();
