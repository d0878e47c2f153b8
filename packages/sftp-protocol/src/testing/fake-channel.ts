import type { ByteChannel, ByteChannelSink } from '../byte-channel.ts';
import { cutPackets, type Packet } from './sftp-frames.ts';

/** A channel whose peer is the test. Output is taken at once unless `windowOpen` is false. */
export class FakeChannel implements ByteChannel {
  windowOpen = true;
  credited = 0;
  state: 'open' | 'finished' | 'aborted' = 'open';
  queuedBytes = 0;
  maxQueuedBytes = 0;
  #sink: ByteChannelSink | undefined;
  #received: Buffer = Buffer.alloc(0);

  start(sink: ByteChannelSink): void {
    this.#sink = sink;
  }

  send(parts: readonly Buffer[], sizeBytes: number): void {
    if (this.windowOpen) {
      this.#received = Buffer.concat([this.#received, ...parts]);
      return;
    }
    this.queuedBytes += sizeBytes;
    this.maxQueuedBytes = Math.max(this.maxQueuedBytes, this.queuedBytes);
  }

  credit(bytes: number): void {
    this.credited += bytes;
  }

  finish(): void {
    this.state = 'finished';
  }

  abort(): void {
    this.state = 'aborted';
  }

  /** The client sends. */
  data(...frames: readonly Buffer[]): void {
    this.#sink?.data(Buffer.concat(frames));
  }

  end(): void {
    this.#sink?.end();
  }

  closed(): void {
    this.#sink?.closed();
  }

  /** The client takes what is queued, and no more. */
  takeQueued(): void {
    this.queuedBytes = 0;
    this.#sink?.drained();
  }

  /** What the client has received since the last call, once everything in flight that can settle has settled. */
  async packets(): Promise<readonly Packet[]> {
    await new Promise((resolve) => setImmediate(resolve));
    const { packets, rest } = cutPackets(this.#received);
    this.#received = rest;
    return packets;
  }
}
