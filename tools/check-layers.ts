/** Fails when an import breaks the layers of the workspace. The rules stand in `layers.ts`. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkLayers } from './layers.ts';

const root = join(import.meta.dirname, '..');
const paths = globSync('packages/*/src/**/*.{ts,tsx}', { cwd: root }).toSorted();
const violations = checkLayers(paths.map((path) => ({ path: path.replaceAll('\\', '/'), text: readFileSync(join(root, path), 'utf8') })));

for (const { path, line, message } of violations) console.error(`${path}:${line}: ${message}`);
if (paths.length === 0) console.error('no source files found: the check looks in the wrong place');
process.exitCode = violations.length === 0 && paths.length > 0 ? 0 : 1;
