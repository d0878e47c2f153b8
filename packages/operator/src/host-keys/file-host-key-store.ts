import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type HostKey, HostKeyError, readHostKey } from '@skiff/credentials/host-key';
import { syncDirectory } from '../durable-file.ts';
import { errorCode } from '../error-code.ts';
import { type HostKeyStore, HostKeyStoreError, type HostKeys } from './host-key-store.ts';

export interface FileHostKeyStoreOptions {
  /** Holds one folder per endpoint, `<namespace>/<name>`. Made when missing. */
  readonly directory: string;
  /** Makes the key of a new endpoint. */
  readonly generate: () => HostKey;
}

/** OpenSSH's own names, so that existing keys can be put there by hand: `ssh_host_ed25519_key`. */
const KEY_FILE = /^ssh_host_[a-z0-9]+_key$/;
/** A key file above this is no key file. */
const MAX_KEY_BYTES = 64 * 1024;
/** One per kind of key and then some. */
const MAX_KEYS = 8;

/** Keeps host keys in a folder of this machine, readable by this user only. */
export function createFileHostKeyStore(options: FileHostKeyStoreOptions): HostKeyStore {
  return {
    async ensure({ namespace, name }, signal) {
      const folder = join(options.directory, namespace, name);
      try {
        const present = await readKeys(folder, signal);
        if (present.length > 0) return { keys: present, generated: false };
        return await makeKeys(options, { parent: join(options.directory, namespace), folder }, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof HostKeyStoreError) throw error;
        throw new HostKeyStoreError('HostKeyUnreadable', `host keys in ${folder}: ${errorCode(error)}`, { cause: error });
      }
    },
  };
}

/** The folder appears whole or not at all: a crash leaves no half a set, and of two processes one wins and both use its keys. */
async function makeKeys(options: FileHostKeyStoreOptions, place: { readonly parent: string; readonly folder: string }, signal: AbortSignal): Promise<HostKeys> {
  await mkdir(place.parent, { recursive: true, mode: 0o700 });
  const temporary = join(place.parent, `.${randomBytes(6).toString('hex')}.tmp`);
  await mkdir(temporary, { mode: 0o700 });
  const key = options.generate();
  const file = join(temporary, `ssh_host_${key.algorithm.replace(/^ssh-|-.*$/g, '')}_key`);
  try {
    await writeNew(file, key.privateKey.reveal(), 0o600);
    await writeNew(`${file}.pub`, `${key.publicKey}\n`, 0o644);
    await syncDirectory(temporary);
    await rename(temporary, place.folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error;
    const keys = await readKeys(place.folder, signal);
    if (keys.length > 0) return { keys, generated: false };
    throw new HostKeyStoreError('HostKeyInvalid', `${place.folder} holds files but no host key; put one there as ssh_host_ed25519_key or remove the folder`);
  }
  await syncDirectory(place.parent);
  return { keys: [key], generated: true };
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

async function readKeys(folder: string, signal: AbortSignal): Promise<readonly HostKey[]> {
  let names: readonly string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
  const files = names.filter((name) => KEY_FILE.test(name)).sort();
  if (files.length > MAX_KEYS) throw new HostKeyStoreError('HostKeyInvalid', `${folder} holds more than ${MAX_KEYS} host keys`);
  const keys: HostKey[] = [];
  for (const name of files) {
    signal.throwIfAborted();
    keys.push(await readKey(join(folder, name)));
  }
  return keys;
}

/** As sshd does: a private key that others can read is not used. */
async function readKey(file: string): Promise<HostKey> {
  const handle = await open(file, 'r');
  try {
    const stats = await handle.stat();
    const { uid } = stats;
    if ((stats.mode & 0o077) !== 0) throw new HostKeyStoreError('HostKeyPermissions', `others may read the host key ${file}: chmod 600 ${file}`);
    if (uid !== 0 && uid !== process.getuid?.()) throw new HostKeyStoreError('HostKeyPermissions', `the host key ${file} belongs to another user: chown it`);
    if (!stats.isFile() || stats.size > MAX_KEY_BYTES) throw new HostKeyStoreError('HostKeyInvalid', `${file} is not a host key`);
    return readHostKey(await handle.readFile('utf8'));
  } catch (error) {
    if (error instanceof HostKeyError) throw new HostKeyStoreError('HostKeyInvalid', `${file}: ${error.message}`, { cause: error });
    throw error;
  } finally {
    await handle.close();
  }
}
