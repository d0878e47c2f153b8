/**
 * Builds ssh2's native binding for the Node that runs this script: `node tools/build-native.ts`. It goes through ssh2's own
 * `install.js`, because a bare `node-gyp rebuild` lacks `--real_openssl_major` and breaks chacha20-poly1305. Does nothing when
 * the binding already passes the program's own check. Needs python3, make, a C++ compiler and npm (for its node-gyp).
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

const root = dirname(import.meta.dirname);
const require = createRequire(join(root, 'packages/sftp-protocol/package.json'));
const CHECK = `import { selfCheck } from ${JSON.stringify(join(root, 'packages/sftp-protocol/src/ssh2-private/self-check.ts'))}; await selfCheck();`;

/**
 * Since 24, `node_object_wrap.h` lets every wrapped object unregister a hook when it is collected, which needs a current context.
 * A collection that starts from a task of V8 has none, and the process ends: `Assertion failed: (env) != nullptr`. The
 * binding is built without that hook; it holds nothing that outlives its objects.
 */
const FATAL_HOOK = 'RemoveEnvironmentCleanupHook';
const HOOK_CALL = /^(\s*(?:Add|Remove)EnvironmentCleanupHook\()/gm;

function check(): string | undefined {
  const binding = join(dirname(require.resolve('ssh2/package.json')), 'lib/protocol/crypto/build/Release/sshcrypto.node');
  if (existsSync(binding) && readFileSync(binding).includes(FATAL_HOOK)) return `ssh2's native binding ends the process at random: it calls ${FATAL_HOOK}`;
  const run = spawnSync(process.execPath, ['--input-type=module', '--eval', CHECK], { cwd: root, encoding: 'utf8', timeout: 60_000 });
  if (run.status === 0) return undefined;
  return /Ssh2CheckError: (.*)/.exec(run.stderr)?.[1] ?? run.stderr;
}

/** The folder that holds `include/node` of exactly this Node: a binding built with other headers does not load. */
function headersFolder(): string {
  const folder = dirname(dirname(realpathSync(process.execPath)));
  const versionFile = join(folder, 'include/node/node_version.h');
  if (!existsSync(versionFile)) return fail(`no headers beside ${process.execPath}: ${versionFile} is missing`);
  const text = readFileSync(versionFile, 'utf8');
  const version = ['MAJOR', 'MINOR', 'PATCH'].map((part) => new RegExp(`#define NODE_${part}_VERSION (\\d+)`).exec(text)?.[1]).join('.');
  if (`v${version}` !== process.version) return fail(`${versionFile} is for Node ${version}, but this is ${process.version}`);
  return folder;
}

/** A copy of the headers without the hook. */
function harmlessHeaders(folder: string, into: string): string {
  cpSync(join(folder, 'include'), join(into, 'include'), { recursive: true });
  const header = join(into, 'include/node/node_object_wrap.h');
  writeFileSync(header, readFileSync(header, 'utf8').replace(HOOK_CALL, '// $1'));
  return into;
}

/** npm brings a node-gyp with it; it lies beside npm's own code. */
function nodeGypScript(): string {
  const folders = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'npm'));
  const beside = folders.filter((path) => existsSync(path)).map((path) => join(dirname(dirname(realpathSync(path))), 'node_modules/node-gyp/bin/node-gyp.js'));
  const found = [...beside, '/usr/lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js'].find((path) => existsSync(path));
  return found ?? fail('node-gyp is not beside any npm on the PATH: install npm');
}

function fail(message: string): never {
  process.stderr.write(`build-native: ${message}\n`);
  process.exit(1);
}

function requireTool(command: string): void {
  if (spawnSync(command, ['--version'], { stdio: 'ignore', timeout: 30_000 }).status !== 0) fail(`${command} is needed to build ssh2's binding`);
}

function build(): void {
  for (const tool of ['python3', 'make', 'c++']) requireTool(tool);
  const ssh2 = dirname(require.resolve('ssh2/package.json'));
  try {
    createRequire(join(ssh2, 'package.json')).resolve('nan');
  } catch {
    fail("the package nan is missing, which ssh2's binding is written with: install with optional dependencies");
  }
  const headers = headersFolder();
  const bin = mkdtempSync(join(tmpdir(), 'skiff-node-gyp-'));
  try {
    const nodedir = harmlessHeaders(headers, join(bin, 'node'));
    writeFileSync(join(bin, 'node-gyp'), `#!/bin/sh\nexec "${process.execPath}" "${nodeGypScript()}" "$@"\n`, { mode: 0o755 });
    const env = {
      ...process.env,
      PATH: [bin, dirname(process.execPath), process.env.PATH].join(delimiter),
      npm_config_nodedir: nodedir,
      CI_CHECK_FAIL: 'ssh2',
    };
    const run = spawnSync(process.execPath, ['install.js'], { cwd: ssh2, env, encoding: 'utf8', timeout: 300_000, maxBuffer: 64 << 20 });
    if (run.status !== 0) fail(`the build failed:\n${run.stdout}\n${run.stderr}`);
  } finally {
    rmSync(bin, { recursive: true, force: true });
  }
}

const before = check();
if (before === undefined) {
  process.stdout.write(`ssh2's native binding is in place for Node ${process.version}\n`);
} else {
  process.stdout.write(`${before}\nbuilding ...\n`);
  build();
  const after = check();
  if (after !== undefined) fail(after);
  process.stdout.write(`built ssh2's native binding for Node ${process.version}\n`);
}
