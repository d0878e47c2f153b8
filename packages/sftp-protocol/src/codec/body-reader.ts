/** A request whose frame is sane but whose body is not: answered with SSH_FX_BAD_MESSAGE. */
export class MalformedRequestError extends Error {
  readonly code = 'MALFORMED_REQUEST';
  constructor(message: string) {
    super(message);
    this.name = 'MalformedRequestError';
  }
}

/** Bounds-checked reader of one packet's body. Every method throws {@link MalformedRequestError} past the end. */
export class BodyReader {
  readonly #body: Buffer;
  #position: number;

  constructor(body: Buffer, start = 0) {
    this.#body = body;
    this.#position = start;
  }

  get remaining(): number {
    return this.#body.length - this.#position;
  }

  uint32(): number {
    const at = this.#take(4);
    return this.#body.readUInt32BE(at);
  }

  /** Exact, or an error: sizes and offsets above 2^53 - 1 cannot be represented and no store has such files. */
  uint64(): number {
    const at = this.#take(8);
    const value = this.#body.readUInt32BE(at) * 2 ** 32 + this.#body.readUInt32BE(at + 4);
    if (!Number.isSafeInteger(value)) throw new MalformedRequestError('offset or size is larger than 2^53 - 1');
    return value;
  }

  /** A view, not a copy. */
  string(): Buffer {
    const length = this.uint32();
    const at = this.#take(length);
    return this.#body.subarray(at, at + length);
  }

  #take(bytes: number): number {
    if (bytes > this.remaining) throw new MalformedRequestError('request is truncated');
    const at = this.#position;
    this.#position += bytes;
    return at;
  }
}
