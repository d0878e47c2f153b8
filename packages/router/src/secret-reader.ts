import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCodeOf } from '@skiff/model/error-code';
import { gatheredSecretKey, type SecretKeyRef } from '@skiff/model/route-secrets';
import { StoreError } from '@skiff/model/store-error';
import { Secret } from '@skiff/runtime/secret';

/** Gives the secrets that targets name. */
export interface SecretReader {
  /** Undefined: it has not been handed to this router, or not yet. @throws {StoreError} when that is not known now. */
  read(namespace: string, ref: SecretKeyRef): Promise<Secret<string> | undefined>;
}

const MAX_NAME_LENGTH = 255;
const READ_TIMEOUT_MS = 5_000;

/** Reads the Secret that the operator gathers for an endpoint's routers, mounted as a directory: one file per key (`gatheredSecretKey`). */
export function createDirectorySecretReader(directory: string): SecretReader {
  return {
    async read(namespace, ref) {
      const name = gatheredSecretKey(namespace, ref);
      if (name.length > MAX_NAME_LENGTH || /[/\0]/.test(name)) throw new StoreError({ code: 'invalid', message: 'no Secret can have such a key' });
      return readMountedSecret(join(directory, name));
    },
  };
}

/** Undefined: there is no such file, or not yet. @throws {StoreError} */
export async function readMountedSecret(file: string): Promise<Secret<string> | undefined> {
  try {
    return new Secret(await readFile(file, { encoding: 'utf8', signal: AbortSignal.timeout(READ_TIMEOUT_MS) }));
  } catch (cause) {
    if (errorCodeOf(cause) === 'ENOENT') return undefined;
    throw new StoreError({ code: 'unavailable', message: 'a mounted secret cannot be read', cause });
  }
}
