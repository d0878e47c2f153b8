/**
 * Bundles the program for the image: `node tools/bundle.ts [OUT]` (default `out/bundle`). One chunk graph with an entry per mode, so
 * that a mode loads only what it needs. ssh2 stays a package beside it: its native binding and its private modules are found by path.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { build, type Metafile } from 'esbuild';

const root = dirname(import.meta.dirname);
const out = resolve(process.argv[2] ?? join(root, 'out/bundle'));
const MODES_FOLDER = 'packages/skiff/src/modes/';

/** What a mode must not load, though others need it. A pod that never asks the Kubernetes API has no use for its client. */
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  'sftp-server': ['node_modules/@kubernetes/', 'packages/kube/', 'packages/operator/'],
  router: ['node_modules/@kubernetes/', 'packages/kube/', 'packages/operator/'],
};

/** Some CommonJS packages call `require` for Node's own modules, which ES modules do not have. */
const BANNER = "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);";

async function bundleProgram(): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { main: 'packages/skiff/src/main.ts', launch: 'packages/skiff/src/launch.ts' },
    outdir: out,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    chunkNames: 'chunks/[name]-[hash]',
    external: ['ssh2', 'ssh2/*'],
    banner: { js: BANNER },
    legalComments: 'linked',
    // Names and lines of stack traces are worth more than the bytes.
    minifySyntax: true,
    metafile: true,
    logLevel: 'warning',
  });
  return metafile;
}

/** Source files that a mode's module pulls in, by the import statements that survived, dynamic ones of other modes aside. */
function inputsOf(metafile: Metafile, mode: string): ReadonlySet<string> {
  const entry = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === `${MODES_FOLDER}${mode}.ts`)?.[0];
  if (entry === undefined) throw new Error(`the bundle has no entry for the mode ${mode}`);
  const inputs = new Set<string>();
  const seen = new Set<string>();
  const waiting = [entry];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const output = metafile.outputs[path];
    if (output === undefined || seen.has(path)) continue;
    seen.add(path);
    for (const input of Object.keys(output.inputs)) inputs.add(input);
    for (const one of output.imports) if (one.external !== true) waiting.push(one.path);
  }
  return inputs;
}

function checkModes(metafile: Metafile): void {
  for (const [mode, forbidden] of Object.entries(FORBIDDEN)) {
    const found = [...inputsOf(metafile, mode)].filter((input) => forbidden.some((prefix) => input.startsWith(prefix)));
    if (found.length > 0) throw new Error(`skiff ${mode} would load ${found.slice(0, 5).join(', ')}`);
  }
}

/** Copies a package and what it depends on: code, licence and binding, without sources, tests and build leftovers. */
function copyPackage(name: string, from: string, copied = new Set<string>()): void {
  if (copied.has(name)) return;
  copied.add(name);
  const manifest = findManifest(name, from);
  const folder = dirname(manifest);
  const target = join(out, 'node_modules', name);
  cpSync(folder, target, { recursive: true, dereference: true, filter: (path) => isNeeded(relative(folder, path)) });
  const parsed: unknown = JSON.parse(readFileSync(manifest, 'utf8'));
  const dependencies = typeof parsed === 'object' && parsed !== null && 'dependencies' in parsed ? Object.keys(Object(parsed.dependencies)) : [];
  for (const dependency of dependencies) copyPackage(dependency, manifest, copied);
}

function findManifest(name: string, from: string): string {
  for (const folder of createRequire(from).resolve.paths(name) ?? []) {
    const manifest = join(folder, name, 'package.json');
    if (existsSync(manifest)) return manifest;
  }
  throw new Error(`the package ${name} is not installed`);
}

function isNeeded(path: string): boolean {
  if (/(^|\/)(\.[^/]*|test|tests|examples|util|node_modules|obj\.target|src|install\.js|tests\.js)(\/|$)/.test(path)) return false;
  return !/\.\w+$/.test(path) ? !/(^|\/)(Makefile|Jenkinsfile)$/.test(path) : /\.(js|json|node)$/.test(path);
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const metafile = await bundleProgram();
checkModes(metafile);
copyPackage('ssh2', join(root, 'packages/sftp-protocol/package.json'));
writeFileSync(join(out, 'package.json'), `${JSON.stringify({ name: 'skiff', private: true, type: 'module' })}\n`);
// On the image's PATH: what people type after `kubectl exec … --`.
writeFileSync(join(out, 'skiff'), "#!/usr/local/bin/node\nimport './main.js';\n", { mode: 0o755 });
const bytes = Object.values(metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
process.stdout.write(`bundled ${Object.keys(metafile.outputs).length} files, ${Math.round(bytes / 1024)} KiB, into ${relative(process.cwd(), out) || out}\n`);
