import { once } from 'node:events';
import ssh2, { type ClientChannel, type ConnectConfig } from 'ssh2';
import type { Protocol } from '../ssh2-private/members.ts';
import { sendPayload } from '../ssh2-private/raw-packet.ts';
import { cutPackets, frame, type Packet } from './sftp-frames.ts';
import { TEST_PASSWORD } from './test-listener.ts';

/** An ssh2 client that can also send what no client should. Its errors are collected, never thrown. */
export class TestClient implements Disposable {
  readonly client = new ssh2.Client();
  readonly errors: Error[] = [];
  readonly closed: Promise<void>;
  isClosed = false;
  readonly #config: ConnectConfig;

  constructor(port: number, config: ConnectConfig = {}) {
    this.#config = { host: '127.0.0.1', port, username: 'tester', ...(config.privateKey === undefined ? { password: TEST_PASSWORD } : {}), ...config };
    this.client.on('error', (error) => this.errors.push(error));
    this.closed = new Promise((resolve) => {
      this.client.on('close', () => {
        this.isClosed = true;
        resolve();
      });
    });
  }

  [Symbol.dispose](): void {
    this.client.destroy();
  }

  /** Resolves when logged in; rejects when the connection closes before. */
  async login(): Promise<this> {
    await this.#until('ready');
    return this;
  }

  /** Resolves after the key exchange; the service was asked for, but nothing to log in by was sent. */
  async handshake(): Promise<this> {
    this.#config.authHandler = () => {};
    await this.#until('handshake');
    // ssh2 would take an answer that it did not ask for as an error.
    const handlers: unknown = Reflect.get(this.#protocol, '_handlers');
    if (typeof handlers === 'object' && handlers !== null) Reflect.set(handlers, 'USERAUTH_FAILURE', () => {});
    await new Promise((resolve) => setImmediate(resolve));
    return this;
  }

  async #until(event: 'ready' | 'handshake'): Promise<void> {
    const happened = once(this.client, event);
    happened.catch(() => {});
    this.client.connect(this.#config);
    const isThere = await Promise.race([happened.then(() => true), this.closed.then(() => false)]).catch(() => false);
    if (!isThere) throw new Error(`no ${event}: ${this.errors.map((error) => error.message).join('; ')}`);
  }

  /** Any SSH message, as it is. */
  sendRaw(payload: Buffer): void {
    sendPayload(this.#protocol, payload);
  }

  get #protocol(): Protocol {
    return Reflect.get(this.client, '_protocol') as Protocol;
  }

  async sftp(): Promise<SftpStream> {
    const { promise, resolve, reject } = Promise.withResolvers<ClientChannel>();
    this.client.subsys('sftp', (error, channel) => (error ? reject(error) : resolve(channel)));
    return new SftpStream(await promise);
  }
}

/** A raw SFTP channel: packets in, packets out. */
export class SftpStream {
  readonly channel: ClientChannel;
  readonly closed: Promise<void>;
  #received: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};

  constructor(channel: ClientChannel) {
    this.channel = channel;
    channel.on('error', () => {});
    channel.on('data', (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#wake();
    });
    this.closed = new Promise((resolve) => channel.on('close', () => resolve()));
  }

  send(...frames: readonly Buffer[]): void {
    this.channel.write(Buffer.concat(frames));
  }

  async packet(): Promise<Packet | undefined> {
    for (;;) {
      const [packet] = cutPackets(this.#received).packets;
      if (packet !== undefined) {
        this.#received = this.#received.subarray(9 + packet.body.length);
        return packet;
      }
      const more = new Promise<boolean>((resolve) => {
        this.#wake = () => resolve(true);
      });
      if (!(await Promise.race([more, this.closed.then(() => false)]))) return undefined;
    }
  }

  async initialised(): Promise<this> {
    this.send(frame(1, 3));
    await this.packet();
    return this;
  }
}
