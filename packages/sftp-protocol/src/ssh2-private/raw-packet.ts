import type { Protocol } from './members.ts';

const MSG_DISCONNECT = 1;
/** SSH_DISCONNECT_PROTOCOL_ERROR and SSH_DISCONNECT_BY_APPLICATION, RFC 4253 section 11.1. */
export const DisconnectReason = { protocolError: 2, byApplication: 11 } as const;
const MAX_DESCRIPTION_CHARACTERS = 256;

/** Sends any SSH message; during a key exchange it is queued, as ssh2 does with its own. */
export function sendPayload(protocol: Protocol, payload: Uint8Array): void {
  const exchanging = protocol._kexinit !== undefined;
  const { write } = protocol._packetRW;
  const packet = write.alloc(payload.length);
  packet.set(payload, exchanging ? 0 : write.allocStart);
  const finished = write.finalize(packet);
  if (exchanging) {
    protocol._queue ??= [];
    protocol._queue.push(finished);
  } else {
    protocol._cipher.encrypt(finished);
  }
}

/** SSH_MSG_DISCONNECT with a text, which ssh2's own leaves empty; may be sent at any time, even during a key exchange. */
export function sendDisconnect(protocol: Protocol, reason: number, description: string): void {
  const payload = Buffer.concat([Buffer.from([MSG_DISCONNECT]), uint32(reason), sshString(description.slice(0, MAX_DESCRIPTION_CHARACTERS)), sshString('')]);
  const { write } = protocol._packetRW;
  const packet = write.alloc(payload.length, true);
  packet.set(payload, write.allocStartKEX);
  protocol._cipher.encrypt(write.finalize(packet, true));
}

class ProtocolViolation extends Error {
  readonly code = 'PROTOCOL_VIOLATION';
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ProtocolViolation';
  }
}

/**
 * Ends the connection from inside a packet handler. The result must be returned from the handler: it stops ssh2's packet
 * loop, which otherwise goes on with data that is out of step.
 */
export function endWithViolation(protocol: Protocol, message: string, cause?: unknown): number {
  const destruct = protocol._destruct;
  if (destruct === undefined) return Number.POSITIVE_INFINITY;
  sendDisconnect(protocol, DisconnectReason.protocolError, message);
  destruct.call(protocol);
  protocol._onError(new ProtocolViolation(message, cause));
  return Number.POSITIVE_INFINITY;
}

export function uint32(value: number): Buffer {
  const out = Buffer.allocUnsafe(4);
  out.writeUInt32BE(value, 0);
  return out;
}

/** RFC 4251 section 5, `string`. */
export function sshString(value: string | Uint8Array): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([uint32(bytes.length), bytes]);
}
