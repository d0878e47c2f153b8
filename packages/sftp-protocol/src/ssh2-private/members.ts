/**
 * The private members of ssh2 1.17.0 that this folder touches, and the checks that they are there. No other folder may
 * name any of them. `members.test.ts` is the contract test; `self-check.ts` pins the version.
 */

/** A foreign function of unknown shape; its results are checked where they are used. */
type ForeignFunction = (...args: unknown[]) => unknown;

/** ssh2's `PacketWriter`. */
export interface PacketWriter {
  /** Where the payload starts in what `alloc` gives: 5 normally, 0 while packets are queued for the end of a key exchange. */
  allocStart: number;
  allocStartKEX: number;
  alloc(payloadBytes: number, force?: boolean): Buffer;
  finalize(packet: Buffer, force?: boolean): Buffer;
}

export interface PacketCipher {
  allocPacket(payloadBytes: number): Buffer;
  encrypt(packet: Buffer): void;
}

export interface PacketDecipher {
  inSeqno: number;
  _onPayload: (payload: Buffer) => unknown;
}

export interface AlgorithmList {
  array: string[];
}

export interface KexOffer {
  readonly lists: {
    kex: AlgorithmList;
    serverHostKey: AlgorithmList;
    cs: { cipher: AlgorithmList; mac: AlgorithmList; compress: AlgorithmList };
  };
}

export interface KeyExchange {
  type: string;
  hashName: string;
  _finished: boolean;
  _remoteKexinit: Buffer;
  remoteExtInfoEnabled: boolean;
  negotiated: { kex: string; serverHostKey: string };
  generateKeys(): void;
  getPublicKey(): Buffer | undefined;
  convertPublicKey(key: Buffer): Buffer;
  computeSecret(theirs: Buffer): Buffer | Error;
}

export type UserAuthHandler = (protocol: unknown, username: string, service: string, method: string, data: unknown) => void;

export interface Protocol {
  _onPayload: (payload: Buffer) => unknown;
  _onHandshakeComplete: (...args: unknown[]) => void;
  _onError: (error: Error) => void;
  _offer: KexOffer;
  _kex: KeyExchange | undefined;
  _kexinit: Buffer | undefined;
  _queue: Buffer[] | undefined;
  _strictMode: boolean | undefined;
  _skipNextInboundPacket: boolean;
  _packetRW: { write: PacketWriter };
  _cipher: PacketCipher;
  _decipher: PacketDecipher;
  _handlers: { USERAUTH_REQUEST: UserAuthHandler };
  /** Undefined once the instance is unusable. */
  _destruct: ((reason?: string) => void) | undefined;
  channelWindowAdjust(channel: number, bytes: number): void;
}

export interface SocketLike {
  readonly writableLength: number;
  readonly destroyed: boolean;
  cork(): void;
  uncork(): void;
  end(): void;
  destroy(): void;
  on(event: 'drain', listener: () => void): unknown;
}

export interface ChannelSide {
  id: number;
  window: number;
  packetSize: number;
  state: 'open' | 'eof' | 'closing' | 'closed';
}

export interface ServerChannel {
  readonly incoming: ChannelSide;
  readonly outgoing: ChannelSide;
  readonly _client: ServerClient;
  readable: boolean;
  _waitWindow: boolean;
  _chunk: unknown;
  _chunkcb: (() => void) | undefined;
  push(data: Buffer | null): boolean;
  exit(status: number): void;
  close(): void;
  on(event: 'close' | 'error', listener: (error?: Error) => void): unknown;
}

export interface ServerClient {
  readonly _protocol: Protocol;
  readonly _sock: SocketLike;
  readonly _chanMgr: { _channels: Record<number, { incoming?: ChannelSide; _channel?: ServerChannel } | undefined> };
  readonly authenticated: boolean;
  rekey(): void;
  on(event: 'handshake' | 'close', listener: () => void): unknown;
}

export class Ssh2ShapeError extends Error {
  readonly code = 'SSH2_SHAPE';
  constructor(member: string) {
    super(`ssh2 has another shape than expected at ${member}`);
    this.name = 'Ssh2ShapeError';
  }
}

export function asRecord(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) throw new Ssh2ShapeError(what);
  return value as Readonly<Record<string, unknown>>;
}

export function asFunction(value: unknown, what: string): ForeignFunction {
  if (typeof value !== 'function') throw new Ssh2ShapeError(what);
  return value as ForeignFunction;
}

function requireMembers(value: unknown, what: string, types: Readonly<Record<string, 'object' | 'function' | 'number' | 'boolean' | 'string'>>): void {
  const record = asRecord(value, what);
  for (const [name, type] of Object.entries(types)) {
    if (record[name] === null || typeof record[name] !== type) throw new Ssh2ShapeError(`${what}.${name}`);
  }
}

/** A client as the Server's `connection` event hands it over: identified, before the server's KEXINIT. @throws {Ssh2ShapeError} */
export function serverClient(client: unknown): ServerClient {
  requireMembers(client, 'client', { _protocol: 'object', _sock: 'object', _chanMgr: 'object', authenticated: 'boolean', rekey: 'function' });
  const parts = client as ServerClient;
  requireMembers(parts._chanMgr, 'chanMgr', { _channels: 'object' });
  requireMembers(parts._protocol, 'protocol', {
    _onPayload: 'function',
    _onHandshakeComplete: 'function',
    _onError: 'function',
    _offer: 'object',
    _packetRW: 'object',
    _cipher: 'object',
    _decipher: 'object',
    _handlers: 'object',
    _destruct: 'function',
    channelWindowAdjust: 'function',
  });
  requireMembers(parts._protocol._packetRW.write, 'packetWriter', { allocStart: 'number', allocStartKEX: 'number', alloc: 'function', finalize: 'function' });
  requireMembers(parts._protocol._handlers, 'handlers', { USERAUTH_REQUEST: 'function', CHANNEL_DATA: 'function' });
  return parts;
}

/** A session's channel as `subsystem`'s accept() gives it. @throws {Ssh2ShapeError} */
export function serverChannel(channel: unknown): ServerChannel {
  requireMembers(channel, 'channel', {
    incoming: 'object',
    outgoing: 'object',
    _client: 'object',
    push: 'function',
    exit: 'function',
    close: 'function',
    _waitWindow: 'boolean',
  });
  const parts = channel as ServerChannel;
  for (const side of [parts.incoming, parts.outgoing])
    requireMembers(side, 'channel side', { id: 'number', window: 'number', packetSize: 'number', state: 'string' });
  return parts;
}
