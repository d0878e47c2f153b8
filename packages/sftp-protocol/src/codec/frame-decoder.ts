import { MAX_FRAME_BYTES, MAX_HANDLE_BYTES, PacketType } from './packet-type.ts';

/** A frame that leaves the stream unreadable: only its channel can be closed. */
export class FrameError extends Error {
  readonly code = 'BAD_FRAME';
  constructor(message: string) {
    super(message);
    this.name = 'FrameError';
  }
}

/** An SSH_FXP_WRITE whose payload was not put together: the parts are views of what came in. */
export interface WriteFrame {
  readonly id: number;
  /** Undefined when the body contradicts itself or its offset is not exact; the payload was dropped then. `handle` is undefined when it is not four bytes. */
  readonly body: { readonly handle: number | undefined; readonly offset: number; readonly parts: readonly Buffer[]; readonly sizeBytes: number } | undefined;
  /** All bytes of the frame, for flow control. */
  readonly frameBytes: number;
}

export interface FrameSink {
  /** Any frame but SSH_FXP_WRITE; `body` comes after the type byte. */
  frame(type: number, body: Buffer, frameBytes: number): void;
  write(frame: WriteFrame): void;
  /** Asked after each frame: true leaves the rest of the chunk undecoded. */
  readonly paused: boolean;
}

const LENGTH_AND_TYPE = 5;
/** id, handle, offset and length of the data. */
const MAX_WRITE_HEAD = 4 + 4 + MAX_HANDLE_BYTES + 8 + 4;
/** id and the length of the handle. */
const WRITE_HEAD_START = 8;

/**
 * Cuts the byte stream of a channel into SFTP packets. Holds at most one frame; lengths are unsigned and bounded, so that a
 * hostile length neither allocates nor desynchronises (CVE class of libssh2 #2017 and ssh2's own SFTP layer).
 */
export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #head = Buffer.alloc(LENGTH_AND_TYPE + MAX_WRITE_HEAD);
  #headBytes = 0;
  #state: 'head' | 'body' | 'writeHead' | 'payload' | 'skip' = 'head';
  /** Bytes of the frame after the type byte that have not been seen. */
  #left = 0;
  #frameBytes = 0;
  #body: Buffer = Buffer.alloc(0);
  #bodyBytes = 0;
  #writeHeadBytes = 0;
  #payloadLeft = 0;
  #payloadBytes = 0;
  #parts: Buffer[] = [];

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Decodes until the chunk ends or the sink pauses; gives the position of the first byte not decoded. @throws {FrameError} */
  decode(chunk: Buffer, start: number): number {
    let at = start;
    while (at < chunk.length) {
      const state = this.#state;
      switch (state) {
        case 'head':
          at = this.#readHead(chunk, at);
          break;
        case 'body':
          at = this.#readBody(chunk, at);
          break;
        case 'writeHead':
          at = this.#readWriteHead(chunk, at);
          break;
        case 'payload':
          at = this.#readPayload(chunk, at);
          break;
        case 'skip':
          at = this.#skip(chunk, at);
          break;
      }
      if (this.#state === 'head' && this.#headBytes === 0 && this.#sink.paused) break;
    }
    return at;
  }

  #readHead(chunk: Buffer, start: number): number {
    const at = this.#fillHead(chunk, start, LENGTH_AND_TYPE);
    if (this.#headBytes < LENGTH_AND_TYPE) return at;
    const length = this.#head.readUInt32BE(0);
    if (length < 1 || length > MAX_FRAME_BYTES) throw new FrameError(`frame length ${length} is not within 1..${MAX_FRAME_BYTES}`);
    this.#left = length - 1;
    this.#frameBytes = length + 4;
    const type = this.#head.readUInt8(4);
    if (type === PacketType.write) {
      if (this.#left < 4) throw new FrameError('WRITE without a request id');
      this.#writeHeadBytes = Math.min(WRITE_HEAD_START, this.#left);
      this.#state = 'writeHead';
      return at;
    }
    if (chunk.length - at >= this.#left) {
      const end = at + this.#left;
      this.#reset();
      this.#sink.frame(type, chunk.subarray(at, end), end - at + LENGTH_AND_TYPE);
      return end;
    }
    this.#body = Buffer.allocUnsafe(this.#left);
    this.#bodyBytes = 0;
    this.#state = 'body';
    return at;
  }

  #fillHead(chunk: Buffer, start: number, upTo: number): number {
    const count = Math.min(upTo - this.#headBytes, chunk.length - start);
    for (let index = 0; index < count; index++) this.#head[this.#headBytes + index] = chunk[start + index] ?? 0;
    this.#headBytes += count;
    return start + count;
  }

  #readBody(chunk: Buffer, start: number): number {
    const count = Math.min(this.#body.length - this.#bodyBytes, chunk.length - start);
    chunk.copy(this.#body, this.#bodyBytes, start, start + count);
    this.#bodyBytes += count;
    if (this.#bodyBytes === this.#body.length) {
      const body = this.#body;
      const type = this.#head.readUInt8(4);
      this.#reset();
      this.#sink.frame(type, body, body.length + LENGTH_AND_TYPE);
    }
    return start + count;
  }

  #readWriteHead(chunk: Buffer, start: number): number {
    const at = this.#fillHead(chunk, start, LENGTH_AND_TYPE + this.#writeHeadBytes);
    if (this.#headBytes < LENGTH_AND_TYPE + this.#writeHeadBytes) return at;
    if (this.#writeHeadBytes <= WRITE_HEAD_START) {
      const handleBytes = this.#writeHeadBytes < WRITE_HEAD_START ? Number.POSITIVE_INFINITY : this.#head.readUInt32BE(LENGTH_AND_TYPE + 4);
      const headBytes = WRITE_HEAD_START + handleBytes + 12;
      if (handleBytes > MAX_HANDLE_BYTES || headBytes > this.#left) return this.#startSkip(at);
      this.#writeHeadBytes = headBytes;
      return at;
    }
    this.#left -= this.#writeHeadBytes;
    const payloadBytes = this.#head.readUInt32BE(LENGTH_AND_TYPE + this.#writeHeadBytes - 4);
    if (payloadBytes > this.#left) {
      this.#left += this.#writeHeadBytes;
      return this.#startSkip(at);
    }
    this.#payloadBytes = payloadBytes;
    this.#payloadLeft = payloadBytes;
    this.#left -= payloadBytes;
    this.#state = 'payload';
    return payloadBytes === 0 ? this.#endPayload(at) : at;
  }

  #startSkip(at: number): number {
    this.#left -= this.#headBytes - LENGTH_AND_TYPE;
    this.#payloadBytes = -1;
    this.#state = 'skip';
    if (this.#left === 0) this.#emitWrite();
    return at;
  }

  #readPayload(chunk: Buffer, start: number): number {
    const count = Math.min(this.#payloadLeft, chunk.length - start);
    this.#parts.push(start === 0 && count === chunk.length ? chunk : chunk.subarray(start, start + count));
    this.#payloadLeft -= count;
    return this.#payloadLeft === 0 ? this.#endPayload(start + count) : start + count;
  }

  #endPayload(at: number): number {
    this.#state = 'skip';
    if (this.#left === 0) this.#emitWrite();
    return at;
  }

  /** Bytes after the data, or the rest of a contradictory WRITE. */
  #skip(chunk: Buffer, start: number): number {
    const count = Math.min(this.#left, chunk.length - start);
    this.#left -= count;
    if (this.#left === 0) this.#emitWrite();
    return start + count;
  }

  #emitWrite(): void {
    const id = this.#head.readUInt32BE(LENGTH_AND_TYPE);
    const body = this.#payloadBytes < 0 ? undefined : this.#writeBody();
    this.#parts = [];
    this.#reset();
    this.#sink.write({ id, body, frameBytes: this.#frameBytes });
  }

  #writeBody(): WriteFrame['body'] {
    const handleBytes = this.#head.readUInt32BE(LENGTH_AND_TYPE + 4);
    const at = LENGTH_AND_TYPE + WRITE_HEAD_START;
    const offset = this.#head.readUInt32BE(at + handleBytes) * 2 ** 32 + this.#head.readUInt32BE(at + handleBytes + 4);
    if (!Number.isSafeInteger(offset + this.#payloadBytes)) return undefined;
    return { handle: handleBytes === 4 ? this.#head.readUInt32BE(at) : undefined, offset, parts: this.#parts, sizeBytes: this.#payloadBytes };
  }

  #reset(): void {
    this.#state = 'head';
    this.#headBytes = 0;
    this.#body = Buffer.alloc(0);
  }
}
