import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';

const ROOT = join(import.meta.dirname, '../../..');
const ENTRIES = {
  azurite: 'azurite/dist/src/blob/main.js',
  'token-service': 'test/emulators/token-service/main.ts',
  'service-bus': 'test/emulators/service-bus/main.ts',
  inbox: 'test/e2e/parts/inbox-main.ts',
};
/** SQL dialects that Azurite's sequelize loads when it is told to. */
const DIALECTS = ['tedious', 'pg', 'pg-hstore', 'mysql2', 'sqlite3', 'mariadb', 'oracledb', 'snowflake-sdk', 'ibm_db', 'odbc'];
const BANNER = [
  "import { createRequire as makeRequire } from 'node:module';",
  "import { dirname as folderOf } from 'node:path';",
  'const require = makeRequire(import.meta.url), __filename = import.meta.filename, __dirname = folderOf(__filename);',
].join(' ');

/** Azurite imports its telemetry even where it is told to send none; its agent is no part of the test. */
const withoutTelemetry: Plugin = {
  name: 'without-telemetry',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^applicationinsights$/ }, ({ path }) => ({ path, namespace: 'empty' }));
    onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: 'module.exports = {};', loader: 'js' }));
  },
};

/** Fills `folder` with one script per part and the Dockerfile: the context of the parts' image. */
export async function bundleParts(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await build({
    absWorkingDir: ROOT,
    entryPoints: ENTRIES,
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    external: DIALECTS,
    plugins: [withoutTelemetry],
    banner: { js: BANNER },
    logLevel: 'warning',
  });
  await copyFile(join(import.meta.dirname, 'Dockerfile'), join(folder, 'Dockerfile'));
}
