import { encapsulate, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { asFunction, asRecord } from './members.ts';

/** The only version whose private members are known to this folder; `members.test.ts` holds the contract. */
export const PINNED_SSH2_VERSION = '1.17.0';

const BUILD_COMMAND = 'node tools/build-native.ts';
const CHACHA20 = 'chacha20-poly1305@openssh.com';
const PAYLOAD_BYTES = 100;

export class Ssh2CheckError extends Error {
  readonly code = 'SSH2_UNUSABLE';
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'Ssh2CheckError';
  }
}

/**
 * Refuses to start on another ssh2, without its native binding, or with one that was built wrongly. Without the binding the
 * speed halves silently; a binding built without `--real_openssl_major` breaks chacha20-poly1305, OpenSSH's default cipher,
 * at the second packet, while AES works and hides it: hence three packets of it here.
 *
 * @throws {Ssh2CheckError} with the command to run.
 */
export async function selfCheck(): Promise<void> {
  const require = createRequire(import.meta.url);
  const version = asRecord(require('ssh2/package.json'), 'ssh2/package.json').version;
  if (version !== PINNED_SSH2_VERSION) throw new Ssh2CheckError(`ssh2 is ${String(version)}, but only ${PINNED_SSH2_VERSION} is supported: run npm ci`);
  if (typeof encapsulate !== 'function') throw new Ssh2CheckError(`Node ${process.version} lacks ML-KEM: 24.7 or newer is needed`);
  const crypto = asRecord(require('ssh2/lib/protocol/crypto.js'), 'crypto.js');
  if (crypto.bindingAvailable !== true) throw new Ssh2CheckError(`ssh2's native binding is missing for Node ${process.version}: run ${BUILD_COMMAND}`);
  await crypto.init;
  try {
    roundTrip(crypto);
  } catch (cause) {
    throw new Ssh2CheckError(`ssh2's native binding is broken for ${CHACHA20}: run ${BUILD_COMMAND}`, cause);
  }
}

function roundTrip(crypto: Readonly<Record<string, unknown>>): void {
  const info = asRecord(asRecord(crypto.CIPHER_INFO, 'CIPHER_INFO')[CHACHA20], CHACHA20);
  const key = randomBytes(Number(info.keyLen));
  const received: Buffer[] = [];
  const wire: Buffer[] = [];
  const iv = Buffer.alloc(0);
  const cipher = asRecord(
    asFunction(
      crypto.createCipher,
      'createCipher',
    )({
      outbound: { seqno: 0, onWrite: (packet: Buffer) => wire.push(packet), cipherInfo: info, cipherKey: key, cipherIV: iv },
    }),
    'cipher',
  );
  const decipher = asRecord(
    asFunction(
      crypto.createDecipher,
      'createDecipher',
    )({
      inbound: { seqno: 0, onPayload: (payload: Buffer) => void received.push(Buffer.from(payload)), decipherInfo: info, decipherKey: key, decipherIV: iv },
    }),
    'decipher',
  );
  const sent = [1, 2, 3].map(() => randomBytes(PAYLOAD_BYTES));
  for (const payload of sent) {
    const packet = asFunction(cipher.allocPacket, 'allocPacket').call(cipher, PAYLOAD_BYTES);
    if (!Buffer.isBuffer(packet)) throw new Error('allocPacket gave no buffer');
    packet.set(payload, 5);
    asFunction(cipher.encrypt, 'encrypt').call(cipher, packet);
  }
  for (const packet of wire) asFunction(decipher.decrypt, 'decrypt').call(decipher, packet, 0, packet.length);
  asFunction(cipher.free, 'free').call(cipher);
  asFunction(decipher.free, 'free').call(decipher);
  if (received.length !== sent.length || !received.every((payload, index) => sent[index]?.equals(payload))) throw new Error('payloads differ');
}
