import { randomFillSync } from 'node:crypto';
import type { PacketCipher } from './members.ts';

const POOL_BYTES = 64 * 1024;

/** Gives packets of a cipher random padding out of a pool: `randomFillSync` of a few bytes per packet costs more than the rest. */
export class PaddingPool {
  readonly #pool = Buffer.allocUnsafeSlow(POOL_BYTES);
  #position = POOL_BYTES;

  /** Bytes are used once and wiped. */
  fill(packet: Buffer, start: number, bytes: number): void {
    if (this.#position + bytes > POOL_BYTES) {
      randomFillSync(this.#pool);
      this.#position = 0;
    }
    const from = this.#position;
    this.#position = from + bytes;
    this.#pool.copy(packet, start, from, this.#position);
    this.#pool.fill(0, from, this.#position);
  }

  /** Replaces the instance's `allocPacket`; ciphers that this does not know keep theirs. */
  install(cipher: PacketCipher): void {
    const shape = cipherShape(cipher);
    if (shape === undefined) return;
    const { blockBytes, unpaddedBytes, tailBytes } = shape;
    // RFC 4253 section 6: at least 4 bytes of padding, up to a whole block. AEAD and ETM leave the length out of it.
    cipher.allocPacket = (payloadBytes) => {
      const unpadded = 5 + payloadBytes;
      let padding = blockBytes - ((unpadded - unpaddedBytes) & (blockBytes - 1));
      if (padding < 4) padding += blockBytes;
      const packet = Buffer.allocUnsafe(unpadded + padding + tailBytes);
      packet.writeUInt32BE(unpadded + padding - 4, 0);
      packet.writeUInt8(padding, 4);
      this.fill(packet, unpadded, padding);
      return packet;
    };
  }
}

function cipherShape(cipher: PacketCipher): { readonly blockBytes: number; readonly unpaddedBytes: number; readonly tailBytes: number } | undefined {
  switch (cipher.constructor.name) {
    case 'AESGCMCipherBinding':
      return { blockBytes: 16, unpaddedBytes: 4, tailBytes: 16 };
    case 'ChaChaPolyCipherBinding':
      return { blockBytes: 8, unpaddedBytes: 4, tailBytes: 16 };
    case 'GenericCipherBinding': {
      const blockBytes: unknown = Reflect.get(cipher, '_encBlockLen');
      const unpaddedBytes: unknown = Reflect.get(cipher, '_aadLen');
      const tailBytes: unknown = Reflect.get(cipher, '_macLen');
      if (typeof blockBytes !== 'number' || typeof unpaddedBytes !== 'number' || typeof tailBytes !== 'number') return undefined;
      return { blockBytes, unpaddedBytes, tailBytes };
    }
    default:
      return undefined;
  }
}
