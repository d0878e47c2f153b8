import { createPrivateKey, createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject, randomBytes } from 'node:crypto';
import { Secret } from '@skiff/runtime/secret';
import { fingerprintOf, type PublicKeyAlgorithm, PublicKeyError, parsePublicKey } from './ssh-public-key.ts';
import { SshWireError, WireReader, wireString, wireUint32 } from './ssh-wire.ts';

export interface HostKey {
  readonly algorithm: PublicKeyAlgorithm;
  /** OpenSSH or PEM form, unencrypted, with a newline at the end. */
  readonly privateKey: Secret<string>;
  /** `ssh-ed25519 AAAA…`: what stands in `known_hosts` after the host's name. */
  readonly publicKey: string;
  /** `SHA256:…`, as clients show it. */
  readonly fingerprint: string;
}

/** A text that is no private key a server can use. Never holds the text. */
export class HostKeyError extends Error {
  readonly code = 'InvalidHostKey';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HostKeyError';
  }
}

const ED25519 = 'ssh-ed25519';
const MAGIC = 'openssh-key-v1\0';
const BEGIN = '-----BEGIN OPENSSH PRIVATE KEY-----';
const END = '-----END OPENSSH PRIVATE KEY-----';
const LINE_LENGTH = 70;
const RSA_BITS = 3072;
const UNSUPPORTED = 'host keys must be Ed25519, ECDSA on a NIST curve, or RSA';

/**
 * Makes a key. Ed25519: small, quick to sign with, and known to every client of the last ten years. ECDSA on P-256 and RSA of 3072 bits
 * (which takes up to a second) are for older ones.
 */
export function generateHostKey(algorithm: 'Ed25519' | 'ECDSA' | 'RSA' = 'Ed25519'): HostKey {
  switch (algorithm) {
    case 'Ed25519':
      return generateEd25519();
    case 'ECDSA':
      return readHostKey(toPem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey));
    case 'RSA':
      return readHostKey(toPem(generateKeyPairSync('rsa', { modulusLength: RSA_BITS }).privateKey));
  }
}

function generateEd25519(): HostKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  return readHostKey(toPem(privateKey));
}

/** In the form that SSH programs read: PKCS#1, SEC 1, and OpenSSH's own for Ed25519. None of them reads PKCS#8 throughout. */
function toPem(key: KeyObject): string {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return key.export({ type: 'pkcs1', format: 'pem' }).toString();
    case 'ec':
      return key.export({ type: 'sec1', format: 'pem' }).toString();
    case 'ed25519': {
      const { x = '', d = '' } = key.export({ format: 'jwk' });
      const blob = Buffer.concat([wireString(ED25519), wireString(Buffer.from(x, 'base64url'))]);
      return formatOpenSsh(blob, Buffer.from(x, 'base64url'), Buffer.from(d, 'base64url'));
    }
    default:
      throw new HostKeyError(UNSUPPORTED);
  }
}

/** Reads a private key that was stored or given, in OpenSSH or PEM form. @throws {HostKeyError} */
export function readHostKey(text: string): HostKey {
  try {
    if (text.includes(BEGIN)) return describe(readOpenSsh(text), `${text.trim()}\n`);
    const key = createPrivateKey(text);
    return describe(wireBlobOf(createPublicKey(key).export({ format: 'jwk' })), toPem(key));
  } catch (error) {
    if (error instanceof HostKeyError) throw error;
    if (error instanceof SshWireError || error instanceof PublicKeyError) throw new HostKeyError(`the host key is damaged: ${error.message}`);
    throw new HostKeyError('the host key is not a private key in OpenSSH or PEM form, or it has a passphrase', { cause: error });
  }
}

function describe(blob: Buffer, privateKey: string): HostKey {
  const algorithm = new WireReader(blob).string().toString('latin1');
  const publicKey = `${algorithm} ${blob.toString('base64')}`;
  return { algorithm: parsePublicKey(publicKey).algorithm, privateKey: new Secret(privateKey), publicKey, fingerprint: fingerprintOf(blob) };
}

/** PROTOCOL.key of OpenSSH: magic, cipher, KDF, its options, number of keys, public key, private part padded to 8 bytes. */
function formatOpenSsh(blob: Buffer, publicPart: Buffer, seed: Buffer): string {
  const check = randomBytes(4);
  const unpadded = Buffer.concat([check, check, wireString(ED25519), wireString(publicPart), wireString(Buffer.concat([seed, publicPart])), wireString('')]);
  const padding = Buffer.from(Array.from({ length: (8 - (unpadded.length % 8)) % 8 }, (_, index) => index + 1));
  const secret = Buffer.concat([unpadded, padding]);
  const bytes = Buffer.concat([
    Buffer.from(MAGIC),
    wireString('none'),
    wireString('none'),
    wireString(''),
    wireUint32(1),
    wireString(blob),
    wireString(secret),
  ]);
  const lines = bytes.toString('base64').match(new RegExp(`.{1,${LINE_LENGTH}}`, 'g')) ?? [];
  return [BEGIN, ...lines, END, ''].join('\n');
}

function readOpenSsh(text: string): Buffer {
  const bytes = Buffer.from(text.slice(text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)).replace(/\s+/g, ''), 'base64');
  if (bytes.subarray(0, MAGIC.length).toString('latin1') !== MAGIC) throw new HostKeyError('the host key is damaged: it has no openssh-key-v1 header');
  const reader = new WireReader(bytes.subarray(MAGIC.length));
  const cipher = reader.string().toString('latin1');
  if (cipher !== 'none') throw new HostKeyError('the host key has a passphrase: remove it with: ssh-keygen -p -N "" -f <file>');
  reader.string();
  reader.string();
  if (reader.uint32() !== 1) throw new HostKeyError('the file holds more than one key');
  const blob = reader.string();
  const secret = new WireReader(reader.string());
  const [check, again] = [secret.uint32(), secret.uint32()];
  if (check !== again) throw new HostKeyError('the host key is damaged: its check numbers differ');
  return blob;
}

const CURVES: Readonly<Record<string, string>> = { 'P-256': 'nistp256', 'P-384': 'nistp384', 'P-521': 'nistp521' };

function wireBlobOf({ kty, crv, x = '', y = '', n = '', e = '' }: JsonWebKey): Buffer {
  const bytes = (text: string): Buffer => Buffer.from(text, 'base64url');
  if (kty === 'RSA') return Buffer.concat([wireString('ssh-rsa'), wireInteger(bytes(e)), wireInteger(bytes(n))]);
  if (kty === 'OKP' && crv === 'Ed25519') return Buffer.concat([wireString(ED25519), wireString(bytes(x))]);
  const curve = CURVES[crv ?? ''];
  if (kty !== 'EC' || curve === undefined) throw new HostKeyError(UNSUPPORTED);
  return Buffer.concat([wireString(`ecdsa-sha2-${curve}`), wireString(curve), wireString(Buffer.concat([Buffer.from([4]), bytes(x), bytes(y)]))]);
}

function wireInteger(bytes: Buffer): Buffer {
  return wireString((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}
