import { createHash } from 'node:crypto';

const HEADER_BYTES = 16;

/**
 * What one attempt sends: it names itself in its first 16 bytes, and the rest follows from that, so that any mixture of two
 * attempts shows.
 */
export function contentOf(attempt: string, sizeBytes: number): Buffer {
  const header = Buffer.from(attempt, 'hex');
  if (header.length !== HEADER_BYTES || sizeBytes < HEADER_BYTES) throw new RangeError('an attempt has 16 bytes, and its content at least as many');
  const seed = createHash('sha256').update(header).digest();
  const content = Buffer.allocUnsafe(sizeBytes);
  header.copy(content);
  let state = seed.readUInt32LE(0);
  const words = new DataView(content.buffer, content.byteOffset, content.length);
  let offset = HEADER_BYTES;
  for (; offset + 4 <= sizeBytes; offset += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words.setUint32(offset, state, true);
  }
  content.fill(seed[0] ?? 0, offset);
  return content;
}

/** The attempt that made these bytes, if they are the whole of one. */
export function attemptOf(content: Buffer): string | undefined {
  if (content.length < HEADER_BYTES) return undefined;
  const attempt = content.subarray(0, HEADER_BYTES).toString('hex');
  return contentOf(attempt, content.length).equals(content) ? attempt : undefined;
}
