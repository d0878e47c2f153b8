import { onKexInit, setOffer } from './hybrid-key-exchange.ts';
import { type Protocol, type ServerClient, Ssh2ShapeError, serverClient, type UserAuthHandler } from './members.ts';
import { PaddingPool } from './pooled-padding.ts';
import { DisconnectReason, endWithViolation, sendDisconnect, sendPayload, sshString, uint32 } from './raw-packet.ts';
import { type RekeyLimits, RekeyTrigger } from './rekey-trigger.ts';

/** RFC 4250 section 4.1.2, and RFC 8308 for EXT_INFO. */
const Message = { unimplemented: 3, extInfo: 7, kexInit: 20, userauthRequest: 50, channelData: 94 } as const;
const FIRST_CONNECTION_MESSAGE = 80;
const LAST_CONNECTION_MESSAGE = 100;
const DATA_HEAD_BYTES = 9;
const MAX_PACKET_BYTES = 32 * 1024;
/** Key exchanges of a peer that has not logged in cost us public-key operations: it needs one. */
const MAX_EXCHANGES_BEFORE_LOGIN = 3;
const MAX_PENDING_AUTHENTICATIONS = 10;
const CHACHA20 = 'chacha20-poly1305@openssh.com';

export interface TransportPolicy {
  readonly kex: readonly string[];
  readonly cipher: readonly string[];
  /** Public key algorithms of users, announced by `server-sig-algs` (RFC 8308 section 3.1). */
  readonly signatureAlgorithms: readonly string[];
  readonly rekey: RekeyLimits;
}

const padding = new PaddingPool();

/** What the listener and the channels of one connection need of its transport. */
export interface GuardedTransport {
  /** The socket below, to find what is known of it. */
  readonly socket: object;
  /** The answer to the current authentication request was sent: hand over the next. */
  readonly authenticationAnswered: () => void;
  /** Counts sent payload towards the next key exchange. */
  readonly countSent: (bytes: number) => void;
  /** Calls `wake` whenever sending may go on: a key exchange is over or the socket has drained. Gives the way to stop it. */
  readonly onWritable: (wake: () => void) => () => void;
  /** Says goodbye with a text that clients show, and ends the connection. */
  readonly disconnect: (text: string) => void;
}

/**
 * Hardens one connection; to be called synchronously in the Server's `connection` event, which is after the peer's
 * identification and before our KEXINIT. All changes are made on instances.
 *
 * @throws {Ssh2ShapeError} when ssh2 is not what this folder knows.
 */
export function guardTransport(connection: unknown, policy: TransportPolicy): GuardedTransport {
  const client = serverClient(connection);
  const protocol = client._protocol;
  if (protocol._kexinit !== undefined) throw new Ssh2ShapeError('protocol._kexinit: too late');
  const wire = setOffer(protocol, policy);
  const rekey = new RekeyTrigger(client, policy.rekey);
  const waiting = new Set<() => void>();
  const wakeAll = () => {
    for (const wake of waiting) wake();
  };
  client.on('handshake', wakeAll);
  client._sock.on('drain', wakeAll);
  guardFirstExchange(protocol, wire);
  guardMessages(client, wire, rekey);
  finishExchanges(client, policy);
  return {
    socket: client._sock,
    authenticationAnswered: orderAuthentication(client),
    countSent: (bytes) => rekey.count(bytes),
    onWritable: (wake) => {
      waiting.add(wake);
      return () => waiting.delete(wake);
    },
    disconnect: (text) => {
      if (protocol._destruct !== undefined) sendDisconnect(protocol, DisconnectReason.byApplication, text);
      client._sock.end();
    },
  };
}

function guardFirstExchange(protocol: Protocol, wire: readonly string[]): void {
  const inner = protocol._decipher._onPayload;
  protocol._decipher._onPayload = (payload) => {
    const isFirst = payload[0] === Message.kexInit && !protocol._skipNextInboundPacket && protocol._kex === undefined;
    return isFirst ? onKexInit(protocol, wire, payload, inner) : inner(payload);
  };
}

/** Every packet after the first key exchange passes here, whatever the cipher. */
function guardMessages(client: ServerClient, wire: readonly string[], rekey: RekeyTrigger): void {
  const protocol = client._protocol;
  const inner = protocol._onPayload;
  protocol._onPayload = (payload) => {
    const type = payload[0] ?? 0;
    rekey.count(payload.length);
    const violation = violationOf(client, type, payload);
    if (violation !== undefined) return endWithViolation(protocol, violation);
    if (type === Message.kexInit) return onKexInit(protocol, wire, payload, inner);
    if (isUnknown(type)) return answerUnimplemented(protocol);
    // RFC 4252 section 5.1: requests after success are ignored silently.
    if (type === Message.userauthRequest && client.authenticated) return undefined;
    try {
      return inner(payload);
    } catch (cause) {
      return endWithViolation(protocol, 'malformed message', cause);
    }
  };
}

function violationOf(client: ServerClient, type: number, payload: Buffer): string | undefined {
  if (type >= FIRST_CONNECTION_MESSAGE && !client.authenticated) return `message ${type} before authentication`;
  // Only a server sends 51 to 53 and 60; 61 answers a question that was not asked.
  if ((type >= 51 && type <= 53) || type === 60 || type === 61) return `unexpected message ${type}`;
  if (type !== Message.channelData) return undefined;
  if (payload.length < DATA_HEAD_BYTES) return 'malformed CHANNEL_DATA';
  const entry = client._chanMgr._channels[payload.readUInt32BE(1)];
  const incoming = entry?._channel?.incoming ?? entry?.incoming;
  const bytes = payload.length - DATA_HEAD_BYTES;
  if (bytes > MAX_PACKET_BYTES) return `CHANNEL_DATA of ${bytes} bytes`;
  return incoming !== undefined && bytes > incoming.window ? 'window overrun' : undefined;
}

/** RFC 4253 section 11.4; what ssh2 knows and a client may send is left to it. */
function isUnknown(type: number): boolean {
  return (
    (type > 7 && type < 20) || (type > 21 && type < 30) || (type > 49 && type < 80 && type !== 50) || type > LAST_CONNECTION_MESSAGE || (type > 82 && type < 90)
  );
}

function answerUnimplemented(protocol: Protocol): undefined {
  sendPayload(protocol, Buffer.concat([Buffer.from([Message.unimplemented]), uint32((protocol._decipher.inSeqno - 1) >>> 0)]));
  return undefined;
}

/** EXT_INFO in place of ssh2's, whose list lacks a comma and so hides rsa-sha2-512 and nistp521. */
function finishExchanges(client: ServerClient, policy: TransportPolicy): void {
  const protocol = client._protocol;
  const inner = protocol._onHandshakeComplete;
  let exchanges = 0;
  protocol._onHandshakeComplete = (...args) => {
    exchanges++;
    padding.install(protocol._cipher);
    if (exchanges === 1 && protocol._kex?.remoteExtInfoEnabled === true) {
      protocol._kex.remoteExtInfoEnabled = false;
      const algorithms = policy.signatureAlgorithms.join(',');
      sendPayload(protocol, Buffer.concat([Buffer.from([Message.extInfo]), uint32(1), sshString('server-sig-algs'), sshString(algorithms)]));
    }
    inner(...args);
    if (protocol._destruct === undefined) return;
    if (exchanges > MAX_EXCHANGES_BEFORE_LOGIN && !client.authenticated) endWithViolation(protocol, 'too many key exchanges');
    else if (usesChaCha(args[0]) && protocol._strictMode !== true) endWithViolation(protocol, `${CHACHA20} needs strict key exchange`);
  };
}

function usesChaCha(negotiated: unknown): boolean {
  return JSON.stringify(negotiated)?.includes(CHACHA20) ?? false;
}

/** ssh2 answers pipelined authentication requests last in, first out, and forgets those behind a key query. Here they keep their order. */
function orderAuthentication(client: ServerClient): () => void {
  const protocol = client._protocol;
  const inner = protocol._handlers.USERAUTH_REQUEST;
  const waiting: Parameters<UserAuthHandler>[] = [];
  let busy = false;
  protocol._handlers.USERAUTH_REQUEST = (...request) => {
    if (!busy) {
      busy = true;
      inner(...request);
    } else if (waiting.length < MAX_PENDING_AUTHENTICATIONS) {
      waiting.push(request);
    } else {
      endWithViolation(protocol, 'too many authentication requests at once');
    }
  };
  return () => {
    // As after success in guardMessages.
    if (client.authenticated) waiting.length = 0;
    const next = waiting.shift();
    busy = next !== undefined;
    if (next !== undefined && protocol._destruct !== undefined) inner(...next);
  };
}
