import { createPrivateKey, sign } from 'node:crypto';
import ssh2, { type ParsedKey } from 'ssh2';

const SIGNATURE_HASH: Readonly<Record<string, string | null>> = {
  'ssh-ed25519': null,
  'ecdsa-sha2-nistp256': 'sha256',
  'ecdsa-sha2-nistp384': 'sha384',
  'ecdsa-sha2-nistp521': 'sha512',
  'ssh-rsa': 'sha512',
};

class HostKeyError extends Error {
  readonly code = 'HOST_KEY';
  constructor(message: string) {
    super(message);
    this.name = 'HostKeyError';
  }
}

export interface HostKey {
  readonly type: string;
  /** For the `hostKeys` of ssh2's server. */
  readonly config: { readonly key: ParsedKey };
}

/**
 * Parses a private host key (OpenSSH or PEM) for ssh2's `hostKeys`. ssh2 itself parses the PEM again for every signature
 * (563 µs against 54 µs with a KeyObject), so the parsed key signs with one that is kept.
 *
 * @throws {HostKeyError} for a key that is encrypted, public or of an unsupported type.
 */
export function parseHostKey(text: string): HostKey {
  const key = ssh2.utils.parseKey(text);
  if (key instanceof Error) throw new HostKeyError(`cannot parse host key: ${key.message}`);
  if (!key.isPrivateKey()) throw new HostKeyError('host key is not a private key');
  const defaultHash = SIGNATURE_HASH[key.type];
  if (defaultHash === undefined) throw new HostKeyError(`host keys of type ${key.type} are not supported`);
  const privateKey = createPrivateKey(key.getPrivatePEM());
  key.sign = (data, hash) => sign(hash ?? defaultHash, Buffer.from(data), privateKey);
  return { type: key.type, config: { key } };
}
