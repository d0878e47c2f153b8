/** Bytes that are not what the SSH wire format says. */
export class SshWireError extends Error {
  readonly code = 'InvalidSshWire';
  constructor(message: string) {
    super(message);
    this.name = 'SshWireError';
  }
}

/** `string` of RFC 4251 section 5: a length of four bytes, then the bytes. */
export function wireString(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

export function wireUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Reads fields one after the other; every length is checked against what is there. */
export class WireReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  uint32(): number {
    if (this.#bytes.length - this.#offset < 4) throw new SshWireError('the data is cut off');
    this.#offset += 4;
    return this.#bytes.readUInt32BE(this.#offset - 4);
  }

  string(): Buffer {
    const length = this.uint32();
    if (length > this.#bytes.length - this.#offset) throw new SshWireError('the data is cut off');
    this.#offset += length;
    return this.#bytes.subarray(this.#offset - length, this.#offset);
  }

  /** A positive integer in its shortest form (RFC 4251 `mpint`), without the sign byte. */
  positiveInteger(): Buffer {
    const bytes = this.string();
    const [first = 0x80, second = 0] = bytes;
    if (first >= 0x80 || (first === 0 && second < 0x80)) throw new SshWireError('a number is not positive or not in its shortest form');
    return first === 0 ? bytes.subarray(1) : bytes;
  }
}
