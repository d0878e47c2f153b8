import type { Logger } from '@skiff/runtime/logger';
import type { SftpBackend } from '../backend.ts';
import type { ByteChannel, ByteChannelSink } from '../byte-channel.ts';
import { BodyReader, MalformedRequestError } from '../codec/body-reader.ts';
import { FrameDecoder, FrameError, type FrameSink, type WriteFrame } from '../codec/frame-decoder.ts';
import { PacketType } from '../codec/packet-type.ts';
import { encodeStatus, encodeVersion } from '../codec/replies.ts';
import { SftpError, SftpStatus } from '../sftp-error.ts';
import { errorReply } from './error-reply.ts';
import type { FlowBudget, SftpLimits } from './flow-budget.ts';
import type { Gate } from './gate.ts';
import { HandleTable } from './handle-table.ts';
import { PathOrder } from './path-order.ts';
import { type Flight, Request, type RequestRow, type Workplace } from './request.ts';
import { EXTENDED_TABLE, REQUEST_TABLE } from './request-table.ts';

export interface SftpSessionOptions {
  readonly channel: ByteChannel;
  readonly backend: SftpBackend;
  readonly gate?: Gate | undefined;
  readonly limits: SftpLimits;
  /** Of the connection. */
  readonly budget: FlowBudget;
  readonly logger: Logger;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** Something was answered. */
  readonly onActivity: () => void;
  /** The channel is gone and the backend has ended. */
  readonly onEnd: () => void;
}

const EXTENSIONS = [...EXTENDED_TABLE].map(([name, row]) => [name, row.revision] as const);

/**
 * One `sftp` channel: decodes requests, dispatches them by table, answers in order of completion. Requests on unrelated
 * files overlap, those that concern each other keep their order (see path-order.ts and shared-exclusive-queue.ts). Above the
 * limits it stops decoding; the peer then runs out of window, because window is given back only for settled requests.
 */
export class SftpSession implements FrameSink, ByteChannelSink {
  readonly #options: SftpSessionOptions;
  readonly #decoder = new FrameDecoder(this);
  readonly #place: Workplace;
  readonly #handles: HandleTable;
  readonly #wake = (): void => this.#pump();
  readonly #input: Buffer[] = [];
  #inputStart = 0;
  #requests = 0;
  #reservedOutput = 0;
  #initialised = false;
  #pumping = false;
  #ended = false;
  #released = false;
  #backendEnded = false;

  constructor(options: SftpSessionOptions) {
    this.#options = options;
    this.#handles = new HandleTable(options.limits.maxHandles);
    this.#place = {
      backend: options.backend,
      handles: this.#handles,
      order: new PathOrder(),
      gate: options.gate,
      maxHandles: options.limits.maxHandles,
      now: options.now,
      reserveOutput: (bytes) => this.#reserveOutput(bytes),
      isReleased: () => this.#released,
      giveUp: (release) => this.#giveUp(release),
    };
  }

  start(): void {
    this.#options.channel.start(this);
  }

  /** Files or directories are open, or requests in flight. */
  get busy(): boolean {
    return this.#handles.size > 0 || this.#requests > 0;
  }

  get paused(): boolean {
    const { limits, budget, channel } = this.#options;
    if (this.#released || this.#requests >= limits.maxRequests) return true;
    if (this.#reservedOutput + channel.queuedBytes >= limits.maxOutputBytes) return true;
    // A channel with nothing in flight always gets one request, or channels could starve each other.
    return this.#requests > 0 && budget.exhausted;
  }

  data(chunk: Buffer): void {
    if (this.#released) return;
    this.#input.push(chunk);
    this.#pump();
  }

  end(): void {
    this.#ended = true;
    this.#pump();
  }

  drained(): void {
    this.#options.onActivity();
    this.#pump();
  }

  closed(): void {
    this.#release();
  }

  frame(type: number, body: Buffer, frameBytes: number): void {
    if (type === PacketType.init) {
      this.#initialise(body, frameBytes);
      return;
    }
    if (!this.#initialised) {
      this.#breakOff('request before INIT');
      return;
    }
    if (body.length < 4) {
      this.#breakOff('request without an id');
      return;
    }
    const request = new Request(body.readUInt32BE(0), frameBytes, new BodyReader(body, 4), this.#place);
    this.#begin(request);
    let row: RequestRow | undefined;
    try {
      row = type === PacketType.extended ? EXTENDED_TABLE.get(request.reader.string().toString('latin1')) : REQUEST_TABLE.get(type);
    } catch (error) {
      this.#fail(request, error, { name: 'EXTENDED', writes: false });
      return;
    }
    if (row === undefined) {
      this.#settle(request, [encodeStatus(request.id, SftpStatus.unsupported, 'operation is not supported')]);
      return;
    }
    const known = row;
    known.handle(request, known).then(
      (reply) => this.#settle(request, reply),
      (error: unknown) => this.#fail(request, error, known),
    );
  }

  write({ id, body, frameBytes }: WriteFrame): void {
    if (!this.#initialised) {
      this.#breakOff('request before INIT');
      return;
    }
    const flight: Flight = { id, frameBytes, reservedBytes: 0 };
    this.#begin(flight);
    this.#write(body).then(
      () => this.#settle(flight, [encodeStatus(id, SftpStatus.ok, '')]),
      (error: unknown) => this.#fail(flight, error, { name: 'WRITE', writes: true }),
    );
  }

  #begin(flight: Flight): void {
    this.#requests++;
    this.#options.budget.take(flight.frameBytes);
  }

  async #write(body: WriteFrame['body']): Promise<void> {
    if (body === undefined) throw new MalformedRequestError('WRITE contradicts itself or reaches beyond 2^53 - 1');
    const handle = this.#handles.file(body.handle);
    if (!handle.flags.write) throw new SftpError(SftpStatus.permissionDenied, 'the file is not open for writing');
    if (body.sizeBytes === 0) return;
    await handle.queue.run(false, async () => handle.file.write(body.offset, body.parts, body.sizeBytes));
  }

  #initialise(body: Buffer, frameBytes: number): void {
    if (this.#initialised) {
      this.#breakOff('second INIT');
      return;
    }
    if (body.length < 4) {
      this.#breakOff('INIT without a version');
      return;
    }
    this.#initialised = true;
    this.#send([encodeVersion(EXTENSIONS)]);
    this.#options.channel.credit(frameBytes);
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#input.length > 0 && !this.paused) this.#decodeFirst();
    } finally {
      this.#pumping = false;
    }
    if (this.#released) return;
    if (this.#input.length > 0 && this.#options.budget.exhausted) this.#options.budget.whenLeft(this.#wake);
    if (this.#ended && this.#input.length === 0 && this.#requests === 0) {
      this.#release();
      this.#options.channel.finish();
    }
  }

  #decodeFirst(): void {
    const chunk = this.#input[0];
    if (chunk === undefined) return;
    try {
      this.#inputStart = this.#decoder.decode(chunk, this.#inputStart);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#breakOff(error.message);
    }
    if (this.#inputStart < chunk.length) return;
    this.#input.shift();
    this.#inputStart = 0;
  }

  #reserveOutput(bytes: number): void {
    this.#reservedOutput += bytes;
    this.#options.budget.take(bytes);
  }

  #settle(flight: Flight, reply: readonly Buffer[]): void {
    this.#requests--;
    this.#reservedOutput -= flight.reservedBytes;
    this.#options.budget.give(flight.frameBytes + flight.reservedBytes);
    if (this.#released) {
      this.#endBackend();
      return;
    }
    this.#options.onActivity();
    this.#send(reply);
    this.#options.channel.credit(flight.frameBytes);
    this.#pump();
  }

  #send(parts: readonly Buffer[]): void {
    let sizeBytes = 0;
    for (const part of parts) sizeBytes += part.length;
    this.#options.channel.send(parts, sizeBytes);
  }

  #fail(flight: Flight, error: unknown, request: { readonly name: string; readonly writes: boolean }): void {
    const known = errorReply(error, request.writes);
    if (known === undefined) this.#options.logger.error({ err: error, request: request.name }, 'request failed unexpectedly');
    const { status, message } = known ?? { status: SftpStatus.failure, message: 'internal error' };
    this.#settle(flight, [encodeStatus(flight.id, status, message)]);
  }

  /** The stream cannot be understood any more, or the peer does not speak SFTP: this channel ends, the connection goes on. */
  #breakOff(reason: string): void {
    if (this.#released) return;
    this.#options.logger.info({ reason }, 'closed an SFTP channel that broke the protocol');
    this.#release();
    this.#options.channel.abort();
  }

  #release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#input.length = 0;
    this.#inputStart = 0;
    this.#options.budget.forget(this.#wake);
    for (const handle of this.#handles.takeAll()) {
      this.#giveUp(() => (handle.kind === 'file' ? handle.file.abandon() : handle.directory.close()));
    }
    this.#endBackend();
  }

  #giveUp(release: () => void): void {
    try {
      release();
    } catch (err) {
      this.#options.logger.error({ err }, 'giving up an open file failed');
    }
  }

  #endBackend(): void {
    if (this.#backendEnded || this.#requests > 0) return;
    this.#backendEnded = true;
    try {
      this.#options.backend.end();
    } catch (err) {
      this.#options.logger.error({ err }, 'ending the backend failed');
    }
    this.#options.onEnd();
  }
}
