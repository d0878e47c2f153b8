/** Watches what a peer announces, however its bytes are cut up. */
export interface FrameSizes {
  /** False once a frame is announced that is larger than allowed, or no frame at all. */
  accept(chunk: Uint8Array): boolean;
}

/** Undefined: more bytes are needed. */
type Head = (bytes: readonly number[]) => { readonly restBytes: number } | undefined;

/**
 * Frames of AMQP 1.0 (§2.3.1: the size, this field included, in four bytes), and the protocol headers before them (§2.2: eight bytes).
 * The library would gather a frame of 4 GiB.
 */
export function amqpFrameSizes(maxBytes: number): FrameSizes {
  return watch(maxBytes, (bytes) => {
    if (bytes.length < 4) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = bytes;
    const isHeader = a === 0x41 && b === 0x4d && c === 0x51 && d === 0x50;
    return { restBytes: (isHeader ? 8 : a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d) - 4 };
  });
}

/** Packets of MQTT (5.0 §2.1: one byte, then the size of the rest in one to four bytes of seven bits). The library would gather 256 MiB. */
export function mqttPacketSizes(maxBytes: number): FrameSizes {
  return watch(maxBytes, (bytes) => {
    const digits = bytes.slice(1);
    const last = digits.at(-1);
    if (last === undefined || (last >= 0x80 && digits.length < 4)) return undefined;
    return { restBytes: last >= 0x80 ? Number.POSITIVE_INFINITY : digits.reduce((sum, digit, index) => sum + (digit & 0x7f) * 128 ** index, 0) };
  });
}

function watch(maxBytes: number, read: Head): FrameSizes {
  let head: number[] = [];
  let rest = 0;
  let refused = false;
  return {
    accept(chunk) {
      for (let at = 0; at < chunk.length && !refused; ) {
        const skipped = Math.min(rest, chunk.length - at);
        rest -= skipped;
        at += skipped;
        const byte = chunk[at];
        if (byte === undefined) break;
        head.push(byte);
        at += 1;
        const found = read(head);
        if (found === undefined) continue;
        refused = found.restBytes < 0 || found.restBytes > maxBytes;
        rest = found.restBytes;
        head = [];
      }
      return !refused;
    },
  };
}
