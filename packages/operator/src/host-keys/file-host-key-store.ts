import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostKey } from '@skiff/credentials/host-key';
import { syncDirectory, writeFileAtomically } from '../durable-file.ts';
import { errorCode } from '../error-code.ts';
import { type HostKeyAlgorithm, type HostKeyStore, HostKeyStoreError } from './host-key-store.ts';
import { planHostKeys } from './plan-host-keys.ts';
import { filesOf, type HostKeyFiles, isHostKeyFile, isPrivateKeyFile, readStoredKeys } from './stored-host-keys.ts';

export interface FileHostKeyStoreOptions {
  /** Holds one folder per endpoint, `<namespace>/<name>`. Made when missing. */
  readonly directory: string;
  readonly generate: (algorithm: HostKeyAlgorithm) => HostKey;
}

/** A key file above this is no key file. */
const MAX_KEY_BYTES = 64 * 1024;

interface Place {
  readonly parent: string;
  readonly folder: string;
}

/** Keeps host keys in a folder of this machine, readable by this user only. */
export function createFileHostKeyStore(options: FileHostKeyStoreOptions): HostKeyStore {
  return {
    async ensure({ namespace, name }, wish, signal) {
      const parent = join(options.directory, namespace);
      const folder = join(parent, name);
      const settle = async (files: HostKeyFiles) => {
        const stored = readStoredKeys(files, folder);
        return { stored, plan: planHostKeys(stored, wish, options.generate) };
      };
      try {
        const { stored, plan } = await settle(await readFiles(folder, signal));
        if (plan.stored === stored) return plan.result;
        const after = filesOf(plan.stored);
        if (stored.length > 0) {
          await change(folder, after, signal);
          return plan.result;
        }
        if (await makeFolder({ parent, folder }, after)) return plan.result;
        // Another process was faster, and its keys are what this one uses too.
        const theirs = await settle(await readFiles(folder, signal));
        if (theirs.stored.length > 0 && theirs.plan.stored === theirs.stored) return theirs.plan.result;
        throw new HostKeyStoreError('HostKeyInvalid', `${folder} holds files but no host key; put one there as ssh_host_ed25519_key or remove the folder`);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof HostKeyStoreError) throw error;
        throw new HostKeyStoreError('HostKeyUnreadable', `host keys in ${folder}: ${errorCode(error)}`, { cause: error });
      }
    },
  };
}

/** The folder appears whole or not at all: a crash leaves no half a set, and of two processes one wins. False: the other one. */
async function makeFolder({ parent, folder }: Place, files: HostKeyFiles): Promise<boolean> {
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const temporary = join(parent, `.${randomBytes(6).toString('hex')}.tmp`);
  await mkdir(temporary, { mode: 0o700 });
  try {
    for (const [file, text] of files) await writeNew(join(temporary, file), text, modeOf(file));
    await syncDirectory(temporary);
    await rename(temporary, folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error;
    return false;
  }
  await syncDirectory(parent);
  return true;
}

/** What is new is written before what is old goes: a crash in between loses no key, and the next look finishes. */
async function change(folder: string, after: HostKeyFiles, signal: AbortSignal): Promise<void> {
  for (const [file, text] of after) await writeFileAtomically(join(folder, file), text, { mode: modeOf(file), signal });
  for (const file of await readdir(folder)) if (isHostKeyFile(file) && !after.has(file)) await rm(join(folder, file));
  await syncDirectory(folder);
}

function modeOf(file: string): number {
  return isPrivateKeyFile(file) ? 0o600 : 0o644;
}

async function writeNew(file: string, text: string, mode: number): Promise<void> {
  const handle = await open(file, 'wx', mode);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readFiles(folder: string, signal: AbortSignal): Promise<HostKeyFiles> {
  let names: readonly string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return new Map();
    throw error;
  }
  const files = new Map<string, string>();
  for (const name of names.filter(isHostKeyFile).sort()) {
    signal.throwIfAborted();
    files.set(name, isPrivateKeyFile(name) ? await readKey(join(folder, name)) : '');
  }
  return files;
}

/** As sshd does: a private key that others can read is not used. */
async function readKey(file: string): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const stats = await handle.stat();
    const { uid } = stats;
    if ((stats.mode & 0o077) !== 0) throw new HostKeyStoreError('HostKeyPermissions', `others may read the host key ${file}: chmod 600 ${file}`);
    if (uid !== 0 && uid !== process.getuid?.()) throw new HostKeyStoreError('HostKeyPermissions', `the host key ${file} belongs to another user: chown it`);
    if (!stats.isFile() || stats.size > MAX_KEY_BYTES) throw new HostKeyStoreError('HostKeyInvalid', `${file} is not a host key`);
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}
