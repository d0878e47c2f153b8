import { createHash, createPublicKey, type JsonWebKey } from 'node:crypto';
import { SshWireError, WireReader } from './ssh-wire.ts';

export const PUBLIC_KEY_ALGORITHMS = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'ssh-rsa'] as const;
export type PublicKeyAlgorithm = (typeof PUBLIC_KEY_ALGORITHMS)[number];

export interface SshPublicKey {
  readonly algorithm: PublicKeyAlgorithm;
  /** SSH wire form, base64. */
  readonly blob: string;
  /** `SHA256:…`, as `ssh-keygen -l` shows it. */
  readonly fingerprint: string;
}

/** A text that is no public key this program accepts. The message says what to do and never holds the text: it might be a private key. */
export class PublicKeyError extends Error {
  readonly code = 'InvalidPublicKey';
  constructor(message: string) {
    super(message);
    this.name = 'PublicKeyError';
  }
}

const MAX_LINE_LENGTH = 16384;
/** OpenSSH's upper bound; verifying costs by the square. */
const RSA_BITS = { min: 2048, max: 16384 };
const MAX_RSA_EXPONENT_BYTES = 4;

/**
 * Reads one line of a `.pub` file: algorithm, base64, comment. Stricter than OpenSSH: one key, no options, the canonical encoding.
 *
 * @throws {PublicKeyError}
 */
export function parsePublicKey(text: string): SshPublicKey {
  const line = text.trim();
  refuseOtherForms(line);
  const [word = '', base64 = ''] = line.split(/[ \t]+/);
  const algorithm = PUBLIC_KEY_ALGORITHMS.find((known) => known === word);
  if (algorithm === undefined) throw new PublicKeyError(reasonAgainst(word, line));
  const blob = Buffer.from(base64, 'base64');
  if (base64 === '' || blob.toString('base64') !== base64)
    throw new PublicKeyError('the part after the algorithm is not base64; copy the whole line of the .pub file');
  checkBlob(algorithm, blob);
  return { algorithm, blob: base64, fingerprint: fingerprintOf(blob) };
}

/** As {@link parsePublicKey}, for callers that collect reasons. */
export function readPublicKey(line: string): ({ readonly ok: true } & SshPublicKey) | { readonly ok: false; readonly reason: string } {
  try {
    return { ok: true, ...parsePublicKey(line) };
  } catch (error) {
    if (!(error instanceof PublicKeyError)) throw error;
    return { ok: false, reason: error.message };
  }
}

/** Of a key in wire form. */
export function fingerprintOf(blob: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

function refuseOtherForms(line: string): void {
  if (/PRIVATE KEY|^PuTTY-User-Key-File/.test(line)) {
    throw new PublicKeyError('this is a private key: remove it from here, replace the key pair, and give the line of its .pub file');
  }
  if (line.startsWith('---')) throw new PublicKeyError('this is not the OpenSSH form; convert it with: ssh-keygen -i -f <file>');
  if (/[\r\n]/.test(line)) throw new PublicKeyError('it has more than one line; give one entry per key');
  if (line.length > MAX_LINE_LENGTH) throw new PublicKeyError(`it is longer than ${MAX_LINE_LENGTH} characters`);
}

function reasonAgainst(word: string, line: string): string {
  const accepted = `accepted: ${PUBLIC_KEY_ALGORITHMS.join(', ')}`;
  if (/^sk-/.test(word)) return `keys on security tokens (${word.slice(0, 64)}) are not supported yet; ${accepted}`;
  if (word === 'ssh-dss') return `ssh-dss is not safe any more; make a new key with: ssh-keygen -t ed25519`;
  if (/-cert-v01@openssh\.com$/.test(word)) return `certificates are not supported; ${accepted}`;
  if (PUBLIC_KEY_ALGORITHMS.some((known) => line.includes(`${known} `))) {
    return 'options before the key are not supported: remove them, and use allowedSourceRanges, expiresAt and permissions';
  }
  return `it does not start with the name of an algorithm; ${accepted}`;
}

function checkBlob(algorithm: PublicKeyAlgorithm, blob: Buffer): void {
  try {
    const reader = new WireReader(blob);
    if (reader.string().toString('latin1') !== algorithm) throw new PublicKeyError(`the key is not of the kind ${algorithm}, with which the line starts`);
    const jwk = readKey(algorithm, reader);
    if (!reader.isAtEnd) throw new PublicKeyError('there is more data than the key has');
    createPublicKey({ key: jwk, format: 'jwk' });
  } catch (error) {
    if (error instanceof PublicKeyError) throw error;
    // Thrown by the crypto library: a point that is not on its curve.
    throw new PublicKeyError(
      `the key is damaged: ${error instanceof SshWireError ? error.message : 'its numbers are no key'}; copy the whole line of the .pub file`,
    );
  }
}

function readKey(algorithm: PublicKeyAlgorithm, reader: WireReader): JsonWebKey {
  switch (algorithm) {
    case 'ssh-ed25519':
      return { kty: 'OKP', crv: 'Ed25519', x: lengthChecked(reader.string(), 32).toString('base64url') };
    case 'ecdsa-sha2-nistp256':
      return readEcdsa(reader, { curve: 'nistp256', crv: 'P-256', sizeBytes: 32 });
    case 'ecdsa-sha2-nistp384':
      return readEcdsa(reader, { curve: 'nistp384', crv: 'P-384', sizeBytes: 48 });
    case 'ecdsa-sha2-nistp521':
      return readEcdsa(reader, { curve: 'nistp521', crv: 'P-521', sizeBytes: 66 });
    case 'ssh-rsa':
      return readRsa(reader);
  }
}

function readEcdsa(reader: WireReader, { curve, crv, sizeBytes }: { readonly curve: string; readonly crv: string; readonly sizeBytes: number }): JsonWebKey {
  if (reader.string().toString('latin1') !== curve) throw new PublicKeyError(`the key is not on the curve ${curve}`);
  const point = lengthChecked(reader.string(), 1 + 2 * sizeBytes);
  if (point[0] !== 4) throw new SshWireError('the point is not uncompressed');
  return { kty: 'EC', crv, x: point.subarray(1, 1 + sizeBytes).toString('base64url'), y: point.subarray(1 + sizeBytes).toString('base64url') };
}

function readRsa(reader: WireReader): JsonWebKey {
  const exponent = reader.positiveInteger();
  const modulus = reader.positiveInteger();
  const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
  if (bits < RSA_BITS.min || bits > RSA_BITS.max) throw new PublicKeyError(`RSA keys must have ${RSA_BITS.min} to ${RSA_BITS.max} bits; this one has ${bits}`);
  const odd = ((exponent.at(-1) ?? 0) & 1) === 1 && ((modulus.at(-1) ?? 0) & 1) === 1;
  if (!odd || exponent.length > MAX_RSA_EXPONENT_BYTES || (exponent.length === 1 && exponent[0] === 1)) throw new SshWireError('not an RSA key');
  return { kty: 'RSA', e: exponent.toString('base64url'), n: modulus.toString('base64url') };
}

function lengthChecked(bytes: Buffer, length: number): Buffer {
  if (bytes.length !== length) throw new SshWireError(`a part has ${bytes.length} bytes instead of ${length}`);
  return bytes;
}
