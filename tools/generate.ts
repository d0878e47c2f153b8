/** Writes what follows from the schemas: the CRDs and the reference. `--check` writes nothing and fails when a file differs. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { toCrd } from '@skiff/model/crd';
import { eventSchema, toEventReference } from '@skiff/model/event-reference';
import { EVENT_TYPES } from '@skiff/model/event-types';
import { KINDS } from '@skiff/model/kinds';
import { API_GROUP } from '@skiff/model/object-meta';
import { toReference } from '@skiff/model/resource-reference';
import { stringify } from 'yaml';

const root = join(import.meta.dirname, '..');
const NOTICE = 'Generated from packages/model by `make generate`. Do not edit.';
const CRD_FOLDER = 'crds';

function generatedFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const info of KINDS) {
    const yaml = stringify(toCrd(info), { lineWidth: 0, aliasDuplicateObjects: false });
    files.set(`${CRD_FOLDER}/${API_GROUP}_${info.plural}.yaml`, `# ${NOTICE}\n${yaml}`);
  }
  files.set('docs/reference/resources.md', `<!-- ${NOTICE} -->\n\n${toReference()}`);
  files.set('docs/reference/events.md', `<!-- ${NOTICE} -->\n\n${toEventReference()}`);
  for (const type of EVENT_TYPES) files.set(`docs/reference/events/${type}.json`, `${JSON.stringify({ $comment: NOTICE, ...eventSchema(type) }, null, 2)}\n`);
  return files;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** CRDs of kinds that are no more. */
function leftOver(files: ReadonlyMap<string, string>): readonly string[] {
  mkdirSync(join(root, CRD_FOLDER), { recursive: true });
  return readdirSync(join(root, CRD_FOLDER))
    .map((name) => `${CRD_FOLDER}/${name}`)
    .filter((path) => !files.has(path));
}

function main(): void {
  const check = process.argv.includes('--check');
  const files = generatedFiles();
  const stale = [...files].filter(([path, content]) => readIfThere(join(root, path)) !== content);
  const superfluous = leftOver(files);
  if (check) {
    for (const path of [...stale.map(([name]) => name), ...superfluous])
      console.error(`${path} differs from the schemas: run make generate and commit the result`);
    process.exitCode = stale.length + superfluous.length === 0 ? 0 : 1;
    return;
  }
  for (const [path, content] of stale) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
    console.log(`wrote ${path}`);
  }
  for (const path of superfluous) {
    rmSync(join(root, path));
    console.log(`removed ${path}`);
  }
}

main();
