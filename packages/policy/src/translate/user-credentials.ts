import type { SftpUser } from '@skiff/model/sftp-user';
import type { Obstacle } from './complete-conditions.ts';

/** Reads one line of a `.pub` file. `blob`: SSH wire form, base64. */
export type ReadPublicKey = (line: string) => { readonly ok: true; readonly blob: string } | { readonly ok: false; readonly reason: string };

/** What was found where a Secret is named. */
export type SecretLookup =
  | { readonly kind: 'found'; readonly value: { reveal(): string } }
  | { readonly kind: 'secretNotFound' }
  | { readonly kind: 'keyNotFound' }
  /** `hint` says what to run so that the Secret may be read. */
  | { readonly kind: 'accessNotGranted'; readonly hint: string };

export interface PasswordHashes {
  /** Secrets are fetched beforehand; this only looks. */
  lookUp(namespace: string, name: string, key: string): SecretLookup;
  /** What is wrong with a hash, without its text; undefined: nothing. */
  problemOf(hash: string): string | undefined;
}

/** The hash of a user's password, or why there is none. White space around it is dropped: files end in a newline. */
export function resolvePassword(user: SftpUser, passwords: PasswordHashes): { readonly hash: string | null; readonly obstacle: Obstacle | undefined } {
  const ref = user.spec.password?.hashSecretRef;
  if (ref === undefined) return { hash: null, obstacle: undefined };
  const { namespace } = user.metadata;
  const secret = `Secret ${namespace}/${ref.name}`;
  const without = (reason: Obstacle['reason'], message: string) => ({ hash: null, obstacle: { reason, message } });
  const found = passwords.lookUp(namespace, ref.name, ref.key);
  switch (found.kind) {
    case 'secretNotFound':
      return without('SecretNotFound', `${secret} does not exist: create it, or correct spec.password.hashSecretRef.name`);
    case 'keyNotFound':
      return without('SecretKeyNotFound', `${secret} has no key ${ref.key}: add it, or correct spec.password.hashSecretRef.key`);
    case 'accessNotGranted':
      return without('SecretAccessNotGranted', `${secret} may not be read: ${found.hint}`);
    case 'found': {
      const hash = found.value.reveal().trim();
      const problem = passwords.problemOf(hash);
      if (problem === undefined) return { hash, obstacle: undefined };
      return without('SecretInvalid', `key ${ref.key} of ${secret} is not a password hash: ${problem}; make one with: skiff hash-password`);
    }
  }
}
