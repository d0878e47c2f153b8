import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
/** The version before this one: the commit with which the main job was complete. */
export const PREVIOUS_COMMIT = 'b1967ac';
const TIMEOUT_MS = 60_000;

/** Writes the version before into `folder`, as a fresh clone would hold it. False: this clone is too shallow to have it. */
export async function unpackPrevious(folder: string, signal?: AbortSignal): Promise<boolean> {
  const options = { timeout: TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) };
  // The owner of the checkout may be another user than the one who runs the tests.
  const git = (...args: readonly string[]) => run('git', ['-c', 'safe.directory=*', '-C', ROOT, ...args], options);
  const known = await git('cat-file', '-e', `${PREVIOUS_COMMIT}^{tree}`).then(
    () => true,
    () => false,
  );
  if (!known) return false;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const archive = `${folder}.tar`;
  await git('archive', '--output', archive, PREVIOUS_COMMIT);
  await run('tar', ['-xf', archive, '-C', folder], options);
  await rm(archive);
  return true;
}

/** Lends it this checkout's packages of others, so that it runs from its sources. Returns its main module. */
export async function makeRunnable(folder: string): Promise<string> {
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, '@skiff'), { recursive: true });
  for (const name of await readdir(join(ROOT, 'node_modules'))) {
    if (!name.startsWith('.') && name !== '@skiff') await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
  for (const name of await readdir(join(folder, 'packages'))) await symlink(join(folder, 'packages', name), join(modules, '@skiff', name));
  return join(folder, 'packages/skiff/src/main.ts');
}
