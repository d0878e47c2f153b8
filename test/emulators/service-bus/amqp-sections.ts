/** Message sections by descriptor code (AMQP 1.0 part 3, section 3.2). */
const SECTION = { header: 0x70, messageAnnotations: 0x72, properties: 0x73, applicationProperties: 0x74, data: 0x75, footer: 0x78 } as const;

export interface Section {
  readonly code: number;
  /** The whole section, descriptor included. */
  readonly bytes: Buffer;
}

/** @throws {RangeError} when a section runs over the end. */
export function splitSections(message: Buffer): Section[] {
  const sections: Section[] = [];
  for (let offset = 0; offset < message.length; ) {
    const length = encodedLength(message, offset);
    if (message[offset] !== 0 || offset + length > message.length) throw new RangeError('not an AMQP message');
    // Descriptors come as smallulong (0x53) or ulong (0x80, 8 bytes).
    const code = message[offset + 1] === 0x53 ? message.readUInt8(offset + 2) : message.readUInt8(offset + 9);
    sections.push({ code, bytes: message.subarray(offset, offset + length) });
    offset += length;
  }
  return sections;
}

/** What the sender wrote and every receiver gets unchanged: properties, application properties and body, as raw bytes. */
export function bareMessage(message: Buffer): Buffer {
  return join(splitSections(message).filter(({ code }) => code >= SECTION.properties && code !== SECTION.footer));
}

/** Header and annotations only: what the broker writes. */
export function headOfMessage(message: Buffer): Buffer {
  return join(splitSections(message).filter(({ code }) => code < SECTION.properties));
}

/** The bare message with its application properties replaced; everything else keeps its bytes, and so its AMQP types. */
export function withApplicationProperties(bare: Buffer, encodedProperties: Buffer): Buffer {
  const sections = splitSections(bare).filter(({ code }) => code !== SECTION.applicationProperties);
  const replacement = splitSections(encodedProperties).filter(({ code }) => code === SECTION.applicationProperties);
  return join([...sections.filter(({ code }) => code === SECTION.properties), ...replacement, ...sections.filter(({ code }) => code !== SECTION.properties)]);
}

/** Contents of the data sections: in a Service Bus batch (message format 0x80013700) each is one encoded message. */
export function dataPayloads(message: Buffer): Buffer[] {
  return splitSections(message)
    .filter(({ code }) => code === SECTION.data)
    .map(({ bytes }) => {
      const value = bytes[1] === 0x53 ? 3 : 10;
      return bytes.subarray(value + (bytes[value] === 0xa0 ? 2 : 5));
    });
}

function join(sections: readonly Section[]): Buffer {
  const [only] = sections;
  return sections.length === 1 && only !== undefined ? only.bytes : Buffer.concat(sections.map(({ bytes }) => bytes));
}

/** Length in bytes of the encoded value at `offset`, constructor included (AMQP 1.0 part 1, section 1.2). */
function encodedLength(buffer: Buffer, offset: number): number {
  const code = buffer.readUInt8(offset);
  if (code === 0) {
    const descriptor = encodedLength(buffer, offset + 1);
    return 1 + descriptor + encodedLength(buffer, offset + 1 + descriptor);
  }
  switch (code >> 4) {
    case 0x4:
      return 1;
    case 0x5:
      return 2;
    case 0x6:
      return 3;
    case 0x7:
      return 5;
    case 0x8:
      return 9;
    case 0x9:
      return 17;
    case 0xa:
    case 0xc:
    case 0xe:
      return 2 + buffer.readUInt8(offset + 1);
    case 0xb:
    case 0xd:
    case 0xf:
      return 5 + buffer.readUInt32BE(offset + 1);
    default:
      throw new RangeError(`not an AMQP constructor: ${code}`);
  }
}
