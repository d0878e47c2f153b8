/** Builds SFTP packets for tests: numbers are uint32, bigints uint64, strings and buffers `string`. */
export function frame(type: number, ...fields: readonly (number | bigint | string | Buffer)[]): Buffer {
  const body = Buffer.concat(fields.map(encodeField));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length + 1, 0);
  head.writeUInt8(type, 4);
  return Buffer.concat([head, body]);
}

function encodeField(field: number | bigint | string | Buffer): Buffer {
  if (typeof field === 'number') {
    const out = Buffer.alloc(4);
    out.writeUInt32BE(field, 0);
    return out;
  }
  if (typeof field === 'bigint') {
    const out = Buffer.alloc(8);
    out.writeBigUInt64BE(field, 0);
    return out;
  }
  const bytes = typeof field === 'string' ? Buffer.from(field) : field;
  return Buffer.concat([encodeField(bytes.length), bytes]);
}

export interface Packet {
  readonly type: number;
  /** Of VERSION: the version. */
  readonly id: number;
  /** What follows the id. */
  readonly body: Buffer;
}

/** Cuts complete packets off the front; gives them and the rest. */
export function cutPackets(bytes: Buffer): { readonly packets: readonly Packet[]; readonly rest: Buffer } {
  const packets: Packet[] = [];
  let at = 0;
  while (bytes.length - at >= 9) {
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) break;
    packets.push({ type: bytes.readUInt8(at + 4), id: bytes.readUInt32BE(at + 5), body: bytes.subarray(at + 9, end) });
    at = end;
  }
  return { packets, rest: bytes.subarray(at) };
}

/** The code of an SSH_FXP_STATUS; undefined for other packets. */
export function statusOf(packet: Packet | undefined): number | undefined {
  return packet?.type === 101 ? packet.body.readUInt32BE(0) : undefined;
}

export function statusMessage(packet: Packet | undefined): string {
  return packet === undefined ? '' : packet.body.toString('utf8', 8, 8 + packet.body.readUInt32BE(4));
}
