import type { FileAttributes, ListedEntry } from '../backend.ts';
import type { SftpStatus } from '../sftp-error.ts';
import { encodeAttributes } from './attributes.ts';
import { longName } from './long-name.ts';
import { PacketType, SFTP_VERSION } from './packet-type.ts';

const LANGUAGE = 'en';
/** Longer texts are cut: they come from errors, and OpenSSH shows one line. */
const MAX_MESSAGE_CHARACTERS = 512;

/** `length type id`, then whatever `body` holds. */
function packet(type: number, id: number, body: readonly Buffer[]): Buffer {
  const bodyBytes = body.reduce((sum, part) => sum + part.length, 0);
  const out = Buffer.allocUnsafe(9 + bodyBytes);
  out.writeUInt32BE(5 + bodyBytes, 0);
  out.writeUInt8(type, 4);
  out.writeUInt32BE(id, 5);
  let at = 9;
  for (const part of body) at += part.copy(out, at);
  return out;
}

function uint32(value: number): Buffer {
  const out = Buffer.allocUnsafe(4);
  out.writeUInt32BE(value, 0);
  return out;
}

function string(value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([uint32(bytes.length), bytes]);
}

export function encodeVersion(extensions: readonly (readonly [name: string, data: string])[]): Buffer {
  const body = Buffer.concat(extensions.flatMap(([name, data]) => [string(name), string(data)]));
  // VERSION has the version number where other replies have the id.
  return packet(PacketType.version, SFTP_VERSION, [body]);
}

const OK_TAIL = Buffer.concat([uint32(0), string('ok'), string(LANGUAGE)]);

export function encodeStatus(id: number, status: SftpStatus, message: string): Buffer {
  if (status === 0) return packet(PacketType.status, id, [OK_TAIL]);
  return packet(PacketType.status, id, [uint32(status), string(message.slice(0, MAX_MESSAGE_CHARACTERS)), string(LANGUAGE)]);
}

export function encodeHandle(id: number, handle: number): Buffer {
  return packet(PacketType.handle, id, [uint32(4), uint32(handle)]);
}

/** The head of SSH_FXP_DATA; `sizeBytes` of content follow it, not copied. */
export function encodeDataHead(id: number, sizeBytes: number): Buffer {
  const out = Buffer.allocUnsafe(13);
  out.writeUInt32BE(9 + sizeBytes, 0);
  out.writeUInt8(PacketType.data, 4);
  out.writeUInt32BE(id, 5);
  out.writeUInt32BE(sizeBytes, 9);
  return out;
}

export function encodeAttrs(id: number, attributes: FileAttributes): Buffer {
  return packet(PacketType.attrs, id, [encodeAttributes(attributes)]);
}

/** One entry of SSH_FXP_NAME. */
export function encodeEntry(entry: ListedEntry, nowSeconds: number): Buffer {
  return Buffer.concat([string(entry.name), string(longName(entry, nowSeconds)), encodeAttributes(entry.attributes)]);
}

export function encodeNames(id: number, entries: readonly Buffer[]): Buffer {
  return packet(PacketType.name, id, [uint32(entries.length), ...entries]);
}

/** The answer to REALPATH: one name with dummy attributes (draft section 6.11). */
export function encodeRealPath(id: number, path: string): Buffer {
  return encodeNames(id, [Buffer.concat([string(path), string(path), encodeAttributes({})])]);
}

export function encodeExtendedReply(id: number, body: Buffer): Buffer {
  return packet(PacketType.extendedReply, id, [body]);
}
