import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** A range of addresses; a single address has the full prefix. IPv4-mapped IPv6 is held as IPv4. */
export interface Cidr {
  readonly family: 'ipv4' | 'ipv6';
  readonly address: string;
  readonly prefixLength: number;
}

/** A CIDR range that cannot be read. Ranges are checked when they are translated, so this means a damaged row. */
export class SourceRangeError extends Error {
  readonly code = 'InvalidSourceRange';
  constructor(range: string) {
    super(`not a CIDR range: ${JSON.stringify(range.slice(0, 64))}; give an address, or a range such as 192.0.2.0/24 or 2001:db8::/32`);
    this.name = 'SourceRangeError';
  }
}

/** Addresses that ranges admit. */
export interface SourceRanges {
  /** False for everything that is not an address. Zone ids (`fe80::1%eth0`) are ignored; IPv4-mapped addresses count as IPv4. */
  includes(address: string): boolean;
}

/** Reads `192.0.2.0/24`, `2001:db8::/32` or a single address; bits beyond the prefix are ignored. Undefined: none of these. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([0-9a-fA-F.:]{2,45})(?:\/(0|[1-9][0-9]{0,2}))?$/.exec(text);
  const address = normalizeAddress(match?.[1] ?? '');
  if (match === null || address === undefined) return undefined;
  const width = isIPv4(match[1] ?? '') ? 32 : 128;
  const given = match[2] === undefined ? width : Number(match[2]);
  if (given > width) return undefined;
  if (address.family === 'ipv6' || width === 32) return { ...address, prefixLength: given };
  // `::ffff:192.0.2.0/120`; a mapped range wider than all of IPv4 has no meaning.
  return given < 96 ? undefined : { ...address, prefixLength: given - 96 };
}

/** @throws {SourceRangeError} for the first range that is none. */
export function toSourceRanges(ranges: readonly string[]): SourceRanges {
  // One list per family: a single one lets `::/0` admit every IPv4 address, as if it were mapped.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const range of ranges) {
    const cidr = parseCidr(range);
    if (cidr === undefined) throw new SourceRangeError(range);
    lists[cidr.family].addSubnet(cidr.address, cidr.prefixLength, cidr.family);
  }
  return {
    includes(text) {
      const address = normalizeAddress(text.replace(/%.*$/, ''));
      return address !== undefined && lists[address.family].check(address.address, address.family);
    },
  };
}

const MAPPED = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/;

function normalizeAddress(text: string): Pick<Cidr, 'family' | 'address'> | undefined {
  if (isIPv4(text)) return { family: 'ipv4', address: text };
  if (!isIPv6(text) || text.includes('%')) return undefined;
  // The URL parser writes an IPv6 address in its one canonical form (RFC 5952).
  const mapped = MAPPED.exec(new URL(`http://[${text}]/`).hostname);
  if (mapped === null) return { family: 'ipv6', address: text };
  const [high, low] = [Number.parseInt(mapped[1] ?? '', 16), Number.parseInt(mapped[2] ?? '', 16)];
  return { family: 'ipv4', address: [high >> 8, high & 255, low >> 8, low & 255].join('.') };
}
