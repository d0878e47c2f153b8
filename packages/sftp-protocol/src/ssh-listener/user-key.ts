import ssh2, { type PublicKeyAuthContext } from 'ssh2';
import { SIGNATURE_ALGORITHMS } from './algorithms.ts';

/** Far above an RSA key of 16,384 bits; larger ones only cost CPU. */
const MAX_KEY_BYTES = 4096;

/**
 * `offered`: the client asks whether the key would do (RFC 4252 section 7) and has proven nothing. `proven`: it signed this
 * session's identifier and its own request with it. `refuted`: it sent a signature that is not the key's.
 */
export type KeyState = 'offered' | 'proven' | 'refuted';

export interface OfferedKey {
  /** As requested, such as `rsa-sha2-512` for a key of type `ssh-rsa`. */
  readonly algorithm: string;
  /** The public key in wire form (RFC 4253 section 6.6), as in the second field of authorized_keys. */
  readonly blob: Buffer;
  readonly state: KeyState;
}

/** Reads and verifies what the client sent; undefined when the key or its algorithm is not acceptable from anybody. */
export function readUserKey(context: PublicKeyAuthContext): OfferedKey | undefined {
  const algorithm = requestedAlgorithm(context);
  if (!SIGNATURE_ALGORITHMS.some((known) => known === algorithm) || context.key.data.length > MAX_KEY_BYTES) return undefined;
  const key = ssh2.utils.parseKey(context.key.data);
  if (key instanceof Error || key.type !== context.key.algo) return undefined;
  const blob = Buffer.from(context.key.data);
  if (context.signature === undefined || context.blob === undefined) return { algorithm, blob, state: 'offered' };
  // ssh2's accept() does not verify; verify() gives an Error for a signature that cannot be read.
  const isValid = key.verify(context.blob, context.signature, context.hashAlgo) === true;
  return { algorithm, blob, state: isValid ? 'proven' : 'refuted' };
}

/** ssh2 replaces `rsa-sha2-*` by the key's type; SSH_MSG_USERAUTH_PK_OK must name what was asked. */
export function requestedAlgorithm(context: PublicKeyAuthContext): string {
  if (context.key.algo !== 'ssh-rsa' || context.hashAlgo === undefined) return context.key.algo;
  return context.hashAlgo === 'sha512' ? 'rsa-sha2-512' : 'rsa-sha2-256';
}
