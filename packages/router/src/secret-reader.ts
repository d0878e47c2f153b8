import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gatheredSecretKey, type SecretKeyRef } from '@skiff/model/route-secrets';
import { StoreError } from '@skiff/model/store-error';
import { Secret } from '@skiff/runtime/secret';

/** Gives the secrets that targets name. */
export interface SecretReader {
  /** Undefined: it has not been handed to this router, or not yet. @throws {StoreError} when that is not known now. */
  read(namespace: string, ref: SecretKeyRef): Promise<Secret<string> | undefined>;
}

const MAX_NAME_LENGTH = 255;

/** Reads the Secret that the operator gathers for an endpoint's routers, mounted as a directory: one file per key (`gatheredSecretKey`). */
export function createDirectorySecretReader(directory: string): SecretReader {
  return {
    async read(namespace, ref) {
      const name = gatheredSecretKey(namespace, ref);
      if (name.length > MAX_NAME_LENGTH || /[/\0]/.test(name)) throw new StoreError({ code: 'invalid', message: 'no Secret can have such a key' });
      try {
        return new Secret(await readFile(join(directory, name), { encoding: 'utf8', signal: AbortSignal.timeout(5000) }));
      } catch (cause) {
        if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
        throw new StoreError({ code: 'unavailable', message: 'a mounted secret cannot be read', cause });
      }
    },
  };
}
