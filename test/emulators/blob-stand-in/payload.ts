import { randomBytes } from 'node:crypto';

/** What was uploaded: its bytes, or only their number where gigabytes would not fit. */
export interface Payload {
  readonly sizeBytes: number;
  /** Chunks of the range, which lies inside. */
  slice(offset: number, length: number): Iterable<Uint8Array>;
}

export function keptPayload(chunks: readonly Uint8Array[], sizeBytes: number): Payload {
  return {
    sizeBytes,
    *slice(offset, length) {
      let start = 0;
      for (const chunk of chunks) {
        const from = Math.max(offset - start, 0);
        const to = Math.min(offset + length - start, chunk.length);
        if (from < to) yield chunk.subarray(from, to);
        start += chunk.length;
      }
    },
  };
}

// Random, so that nothing on the way compresses it.
const PATTERN = randomBytes(256 * 1024);

/** Gives back a pattern in place of what was sent. */
export function discardedPayload(sizeBytes: number): Payload {
  return {
    sizeBytes,
    *slice(offset, length) {
      for (let done = 0; done < length; ) {
        const at = (offset + done) % PATTERN.length;
        const chunk = PATTERN.subarray(at, Math.min(PATTERN.length, at + length - done));
        yield chunk;
        done += chunk.length;
      }
    },
  };
}
