import type { FileAttributes } from '../backend.ts';
import { type BodyReader, MalformedRequestError } from './body-reader.ts';

/** `SSH_FILEXFER_ATTR_*`, draft-ietf-secsh-filexfer-02 section 5. */
const HAS_SIZE = 0x1;
const HAS_OWNER = 0x2;
const HAS_MODE = 0x4;
const HAS_TIMES = 0x8;
const HAS_EXTENDED = 0x80000000;
const KNOWN = HAS_SIZE | HAS_OWNER | HAS_MODE | HAS_TIMES;
const MAX_EXTENDED = 64;
const MAX_UINT32 = 0xffffffff;

/** @throws {MalformedRequestError} */
export function readAttributes(reader: BodyReader): FileAttributes {
  const flags = reader.uint32();
  // Fields of unknown flags have an unknown length, so nothing after them could be read.
  if ((flags & ~(KNOWN | HAS_EXTENDED)) !== 0) throw new MalformedRequestError('unknown attribute flags');
  const attributes: { -readonly [Name in keyof FileAttributes]: FileAttributes[Name] } = {};
  if ((flags & HAS_SIZE) !== 0) attributes.sizeBytes = reader.uint64();
  if ((flags & HAS_OWNER) !== 0) {
    attributes.uid = reader.uint32();
    attributes.gid = reader.uint32();
  }
  if ((flags & HAS_MODE) !== 0) attributes.mode = reader.uint32();
  if ((flags & HAS_TIMES) !== 0) {
    attributes.accessedAt = reader.uint32();
    attributes.modifiedAt = reader.uint32();
  }
  if ((flags & HAS_EXTENDED) !== 0) skipExtended(reader);
  return attributes;
}

function skipExtended(reader: BodyReader): void {
  const count = reader.uint32();
  if (count > MAX_EXTENDED) throw new MalformedRequestError('too many extended attributes');
  for (let index = 0; index < count; index++) {
    reader.string();
    reader.string();
  }
}

/** The wire form, flags included. Fractions of a second are cut off; times outside of uint32 are clamped. */
export function encodeAttributes(attributes: FileAttributes): Buffer {
  const { sizeBytes, mode } = attributes;
  const hasOwner = attributes.uid !== undefined || attributes.gid !== undefined;
  const modifiedAt = attributes.modifiedAt ?? attributes.accessedAt;
  const flags =
    (sizeBytes === undefined ? 0 : HAS_SIZE) | (hasOwner ? HAS_OWNER : 0) | (mode === undefined ? 0 : HAS_MODE) | (modifiedAt === undefined ? 0 : HAS_TIMES);
  const out = Buffer.allocUnsafe(
    4 + (sizeBytes === undefined ? 0 : 8) + (hasOwner ? 8 : 0) + (mode === undefined ? 0 : 4) + (modifiedAt === undefined ? 0 : 8),
  );
  let at = out.writeUInt32BE(flags, 0);
  if (sizeBytes !== undefined) {
    at = out.writeUInt32BE(Math.floor(sizeBytes / 2 ** 32), at);
    at = out.writeUInt32BE(sizeBytes % 2 ** 32, at);
  }
  if (hasOwner) {
    at = out.writeUInt32BE(toUint32(attributes.uid ?? 0), at);
    at = out.writeUInt32BE(toUint32(attributes.gid ?? 0), at);
  }
  if (mode !== undefined) at = out.writeUInt32BE(toUint32(mode), at);
  if (modifiedAt !== undefined) {
    at = out.writeUInt32BE(toUint32(attributes.accessedAt ?? modifiedAt), at);
    out.writeUInt32BE(toUint32(modifiedAt), at);
  }
  return out;
}

function toUint32(value: number): number {
  return Math.min(MAX_UINT32, Math.max(0, Math.trunc(value)));
}
