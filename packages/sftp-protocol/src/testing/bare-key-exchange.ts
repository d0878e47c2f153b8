import { createHash, createPublicKey, decapsulate, diffieHellman, generateKeyPairSync, verify } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { sshString, uint32 } from '../ssh2-private/raw-packet.ts';

const IDENT = 'SSH-2.0-OpenSSH_10.0';
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const X25519_SPKI = Buffer.from('302a300506032b656e032100', 'hex');
const KEXINIT = 20;
const KEX_REPLY = 31;

export interface BareOptions {
  readonly kex?: readonly string[];
  /** Sends its first packet before it has seen the server's choice (RFC 4253 section 7). */
  readonly guess?: boolean;
  /** A payload to slip in after KEXINIT. */
  readonly slipIn?: Buffer;
  /** In place of the client's public keys. */
  readonly publicKeys?: Buffer;
}

export interface BareResult {
  /** Whether the server's signature of both sides' transcript, shared secret included, is right. */
  readonly verified: boolean;
  readonly serverKex: readonly string[];
}

/**
 * The client's half of an mlkem768x25519-sha256 exchange up to the server's signature, independent of ssh2. Gives undefined
 * when the server ends the connection before.
 */
export async function bareKeyExchange(port: number, options: BareOptions = {}): Promise<BareResult | undefined> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  try {
    const incoming = new Incoming(socket);
    const kem = generateKeyPairSync('ml-kem-768');
    const curve = generateKeyPairSync('x25519');
    const ours = Buffer.concat([
      kem.publicKey.export({ format: 'der', type: 'spki' }).subarray(-1184),
      curve.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32),
    ]);
    const publicKeys = options.publicKeys ?? ours;
    const ourInit = kexInit(options);
    socket.write(`${IDENT}\r\n`);
    socket.write(packet(ourInit));
    if (options.slipIn !== undefined) socket.write(packet(options.slipIn));
    const first = packet(Buffer.concat([Buffer.from([30]), sshString(publicKeys)]));
    if (options.guess === true) socket.write(first);
    const serverIdent = await incoming.line();
    const theirInit = await incoming.payload(KEXINIT);
    if (options.guess !== true) socket.write(first);
    const reply = await incoming.payload(KEX_REPLY);
    const [hostKey, serverKeys, signature] = strings(reply.subarray(1), 3);
    if (hostKey === undefined || serverKeys === undefined || signature === undefined) return undefined;
    const theirCurve = createPublicKey({ key: Buffer.concat([X25519_SPKI, serverKeys.subarray(1088)]), format: 'der', type: 'spki' });
    const secret = createHash('sha256')
      .update(decapsulate(kem.privateKey, serverKeys.subarray(0, 1088)))
      .update(diffieHellman({ privateKey: curve.privateKey, publicKey: theirCurve }))
      .digest();
    const hash = createHash('sha256');
    for (const part of [IDENT, serverIdent, ourInit, theirInit, hostKey, publicKeys, serverKeys, secret]) hash.update(sshString(part));
    const [, rawKey = Buffer.alloc(0)] = strings(hostKey, 2);
    const [, rawSignature = Buffer.alloc(0)] = strings(signature, 2);
    const key = createPublicKey({ key: Buffer.concat([ED25519_SPKI, rawKey]), format: 'der', type: 'spki' });
    const [serverKex] = strings(theirInit.subarray(17), 1);
    return { verified: verify(null, hash.digest(), key, rawSignature), serverKex: (serverKex ?? Buffer.alloc(0)).toString().split(',') };
  } catch (error) {
    if (error instanceof ClosedError) return undefined;
    throw error;
  } finally {
    socket.destroy();
  }
}

function kexInit(options: BareOptions): Buffer {
  const kex = [...(options.kex ?? ['mlkem768x25519-sha256']), 'ext-info-c', 'kex-strict-c-v00@openssh.com'].join(',');
  const both = (value: string) => [value, value];
  const lists = [kex, 'ssh-ed25519', ...both('aes128-gcm@openssh.com'), ...both('hmac-sha2-256-etm@openssh.com'), ...both('none'), ...both('')];
  return Buffer.concat([Buffer.from([KEXINIT]), Buffer.alloc(16, 7), ...lists.map(sshString), Buffer.from([options.guess === true ? 1 : 0]), uint32(0)]);
}

function packet(payload: Buffer): Buffer {
  const padding = 8 - ((payload.length + 5) % 8) + 8;
  return Buffer.concat([uint32(payload.length + padding + 1), Buffer.from([padding]), payload, Buffer.alloc(padding)]);
}

function strings(bytes: Buffer, count: number): readonly Buffer[] {
  const out: Buffer[] = [];
  let at = 0;
  while (out.length < count) {
    const end = at + 4 + bytes.readUInt32BE(at);
    out.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return out;
}

class ClosedError extends Error {}

/** What the server sends before the first NEWKEYS. */
class Incoming {
  readonly #socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data) => {
      this.#bytes = Buffer.concat([this.#bytes, Buffer.from(data)]);
      this.#wake();
    });
    socket.on('close', () => this.#wake());
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#bytes.indexOf('\r\n');
      if (end >= 0)
        return this.#take(end + 2)
          .toString('latin1')
          .trimEnd();
      await this.#more();
    }
  }

  async payload(type: number): Promise<Buffer> {
    for (;;) {
      const length = this.#bytes.length < 5 ? Number.POSITIVE_INFINITY : this.#bytes.readUInt32BE(0);
      if (this.#bytes.length < length + 4) {
        await this.#more();
        continue;
      }
      const whole = this.#take(length + 4);
      const payload = whole.subarray(5, whole.length - whole.readUInt8(4));
      if (payload[0] === 1) throw new ClosedError();
      if (payload[0] === type) return payload;
    }
  }

  #take(bytes: number): Buffer {
    const taken = this.#bytes.subarray(0, bytes);
    this.#bytes = this.#bytes.subarray(bytes);
    return taken;
  }

  async #more(): Promise<void> {
    if (this.#socket.closed || this.#socket.readyState === 'closed') throw new ClosedError();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}
