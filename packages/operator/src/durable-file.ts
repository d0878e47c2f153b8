import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode } from './error-code.ts';

/**
 * Replaces a file so that a reader, and a crash at any moment, sees the old content or the new, whole.
 * @throws the system's error, such as ENOSPC; the old file is then untouched.
 */
export async function writeFileAtomically(file: string, text: string, options: { readonly mode: number; readonly signal: AbortSignal }): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(temporary, 'wx', options.mode);
    try {
      await handle.writeFile(text, { signal: options.signal });
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(file));
}

/** Makes a rename or a link survive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The file's JSON, or undefined where there is no file. @throws {SyntaxError} for what is not JSON. */
export async function readJsonFile(file: string, signal: AbortSignal): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, { encoding: 'utf8', signal });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const value: unknown = JSON.parse(text);
  return value;
}
