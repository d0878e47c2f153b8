import { createHash, createPublicKey, diffieHellman, encapsulate, generateKeyPairSync } from 'node:crypto';
import { type KexOffer, type Protocol, Ssh2ShapeError } from './members.ts';
import { sshString } from './raw-packet.ts';

/** The hybrid of ML-KEM-768 and X25519 (draft-ietf-sshm-mlkem-hybrid-kex); OpenSSH's default since 10.0. */
export const ML_KEM = 'mlkem768x25519-sha256';
const X25519 = 'curve25519-sha256';
const STRICT_KEX_SERVER = 'kex-strict-s-v00@openssh.com';
const COOKIE_END = 17;
const ML_KEM_KEY_BYTES = 1184;
const X25519_KEY_BYTES = 32;
/** DER of SubjectPublicKeyInfo up to the key itself. */
const ML_KEM_SPKI = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex');
const X25519_SPKI = Buffer.from('302a300506032b656e032100', 'hex');

/**
 * Replaces what the server will offer. Must be called before ssh2 sends its KEXINIT. `kex` may name {@link ML_KEM}, which
 * ssh2 does not know: it goes on the wire, while ssh2 matches against its X25519 relative, see {@link onKexInit}. The
 * SHA-1 host key algorithm `ssh-rsa` is dropped, which ssh2 adds for each RSA key whatever it was told.
 */
export function setOffer(protocol: Protocol, offer: { readonly kex: readonly string[]; readonly cipher: readonly string[] }): readonly string[] {
  const { lists } = protocol._offer;
  const both = { cipher: [...offer.cipher], mac: lists.cs.mac.array, compress: lists.cs.compress.array, lang: [] };
  const wire = [...offer.kex, STRICT_KEX_SERVER];
  const KexInit = protocol._offer.constructor;
  const next: unknown = Reflect.construct(KexInit, [
    { kex: wire, serverHostKey: lists.serverHostKey.array.filter((name) => name !== 'ssh-rsa'), cs: both, sc: both },
  ]);
  if (!isOffer(next)) throw new Ssh2ShapeError('KexInit');
  next.lists.kex.array = [...new Set(wire.map((name) => (name === ML_KEM ? X25519 : name)))];
  protocol._offer = next;
  return wire;
}

function isOffer(value: unknown): value is KexOffer {
  return typeof value === 'object' && value !== null && 'lists' in value && typeof value.lists === 'object' && value.lists !== null && 'kex' in value.lists;
}

/**
 * Handles the peer's KEXINIT. When {@link ML_KEM} wins, ssh2 is shown the same message with the name replaced by
 * X25519's in the same place, and the exchange that it builds is turned into the hybrid, with the true bytes restored for
 * the exchange hash. Also mends ssh2's handling of `first_kex_packet_follows`, where it drops right guesses, too.
 */
export function onKexInit(protocol: Protocol, wire: readonly string[], payload: Buffer, next: (payload: Buffer) => unknown): unknown {
  const kexList = readNames(payload, COOKIE_END);
  const result = kexList === undefined ? next(payload) : negotiate(protocol, wire, payload, kexList, next);
  if (protocol._skipNextInboundPacket && kexList !== undefined) {
    const hostKeyList = readNames(payload, kexList.end);
    const rightGuess = kexList.names[0] === wire[0] && hostKeyList?.names[0] === protocol._offer.lists.serverHostKey.array[0];
    if (rightGuess) protocol._skipNextInboundPacket = false;
  }
  return result;
}

interface NameList {
  readonly names: readonly string[];
  readonly end: number;
}

function readNames(payload: Buffer, at: number): NameList | undefined {
  if (payload.length < at + 4) return undefined;
  const end = at + 4 + payload.readUInt32BE(at);
  return end > payload.length ? undefined : { names: payload.toString('latin1', at + 4, end).split(','), end };
}

function negotiate(protocol: Protocol, wire: readonly string[], payload: Buffer, list: NameList, next: (payload: Buffer) => unknown): unknown {
  if (list.names.find((name) => wire.includes(name)) !== ML_KEM) return next(payload);
  const shown = list.names.map((name) => (name === ML_KEM ? X25519 : name === X25519 ? `not-${X25519}` : name));
  const result = next(Buffer.concat([payload.subarray(0, COOKIE_END), sshString(shown.join(',')), payload.subarray(list.end)]));
  const exchange = protocol._kex;
  // Otherwise ssh2 has refused the KEXINIT for another reason and ended the connection.
  if (exchange === undefined || exchange.type !== '25519' || exchange._finished || exchange.negotiated.kex !== X25519) return result;
  let reply: Buffer | undefined;
  exchange._remoteKexinit = payload;
  exchange.negotiated.kex = ML_KEM;
  exchange.type = 'mlkem768x25519';
  exchange.generateKeys = () => {};
  // The keys are opaque strings here, never normalised like an mpint.
  exchange.convertPublicKey = (key) => key;
  exchange.getPublicKey = () => reply;
  exchange.computeSecret = (theirs) => {
    try {
      const hybrid = answerHybrid(theirs);
      reply = hybrid.reply;
      return hybrid.secret;
    } catch (error) {
      return error instanceof Error ? error : new Error('key exchange failed');
    }
  };
  return result;
}

/** C_INIT is the ML-KEM key and the X25519 key; K is the hash of both secrets, a string of 32 bytes. */
function answerHybrid(theirs: Buffer): { readonly reply: Buffer; readonly secret: Buffer } {
  if (theirs.length !== ML_KEM_KEY_BYTES + X25519_KEY_BYTES) throw new Error('the hybrid key has a wrong length');
  const theirKem = createPublicKey({ key: Buffer.concat([ML_KEM_SPKI, theirs.subarray(0, ML_KEM_KEY_BYTES)]), format: 'der', type: 'spki' });
  const theirCurve = createPublicKey({ key: Buffer.concat([X25519_SPKI, theirs.subarray(ML_KEM_KEY_BYTES)]), format: 'der', type: 'spki' });
  const { sharedKey, ciphertext } = encapsulate(theirKem);
  const ours = generateKeyPairSync('x25519');
  // OpenSSL refuses an all-zero result, as RFC 8731 section 3 demands.
  const curveSecret = diffieHellman({ privateKey: ours.privateKey, publicKey: theirCurve });
  const ourCurve = ours.publicKey.export({ format: 'der', type: 'spki' }).subarray(-X25519_KEY_BYTES);
  return { reply: Buffer.concat([ciphertext, ourCurve]), secret: createHash('sha256').update(sharedKey).update(curveSecret).digest() };
}
