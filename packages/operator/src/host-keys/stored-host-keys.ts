import { type HostKey, HostKeyError, readHostKey } from '@skiff/credentials/host-key';
import { HostKeyStoreError } from './host-key-store.ts';

/**
 * Where a key lies. `served`: clients are shown it. `kept`: Next or Retired. `dropped`: it was served when its entry went; it stays, since
 * partners know it and a slip of the pen must not lose it.
 */
const PLACES = ['served', 'kept', 'dropped'] as const;
export type Place = (typeof PLACES)[number];

export interface StoredHostKey {
  readonly name: string;
  readonly place: Place;
  /** It came from a Secret of the owner's, who may change it; one that was made here is never overwritten. */
  readonly given: boolean;
  readonly key: HostKey;
}

/** Contents of a host-key Secret, or of a folder, by file name. */
export type HostKeyFiles = ReadonlyMap<string, string>;

/** OpenSSH's own names for what is served, so that existing keys can be brought along; servers read these and no others. */
const PREFIXES: Readonly<Record<Place, string>> = { served: 'ssh_host_', kept: 'kept_host_', dropped: 'dropped_host_' };
const KEY_FILE = /^(ssh|kept|dropped)_host_([a-z0-9]+)_key$/;
/** A file that says, by being there, that the key beside it was given. */
const GIVEN_MARK = '.given';
/** Served ones of the spec, as many on their way in or out, and what was dropped. */
export const MAX_KEYS = 24;

/** Files that belong to a key; others are not ours. */
export function isHostKeyFile(file: string): boolean {
  return KEY_FILE.test(file.replace(/\.(pub|given)$/, ''));
}

/** Those with a private key. */
export function isPrivateKeyFile(file: string): boolean {
  return KEY_FILE.test(file);
}

/** By name. `where` is for messages. @throws {HostKeyStoreError} `HostKeyInvalid` for a damaged key, or too many. */
export function readStoredKeys(files: HostKeyFiles, where: string): readonly StoredHostKey[] {
  const stored = [...files].flatMap(([file, text]) => {
    const [, prefix, name] = KEY_FILE.exec(file) ?? [];
    const place = PLACES.find((candidate) => PREFIXES[candidate] === `${prefix}_host_`);
    if (place === undefined || name === undefined) return [];
    return [{ name, place, given: files.has(`${file}${GIVEN_MARK}`), key: read(text, `${file} of ${where}`) }];
  });
  if (stored.length > MAX_KEYS)
    throw new HostKeyStoreError('HostKeyInvalid', `${where} holds ${stored.length} host keys, more than ${MAX_KEYS}: remove some that begin with dropped_`);
  return stored.toSorted((left, right) => (left.name < right.name ? -1 : 1));
}

/** The files of the keys, each with its public part beside it. */
export function filesOf(keys: readonly StoredHostKey[]): HostKeyFiles {
  return new Map(
    keys.flatMap(({ name, place, given, key }) => {
      const file = `${PREFIXES[place]}${name}_key`;
      return [
        [file, key.privateKey.reveal()],
        [`${file}.pub`, `${key.publicKey}\n`],
        ...(given ? [[`${file}${GIVEN_MARK}`, `${key.fingerprint}\n`] as const] : []),
      ] as const;
    }),
  );
}

function read(text: string, what: string): HostKey {
  try {
    return readHostKey(text);
  } catch (error) {
    if (!(error instanceof HostKeyError)) throw error;
    throw new HostKeyStoreError('HostKeyInvalid', `${what}: ${error.message}`, { cause: error });
  }
}
