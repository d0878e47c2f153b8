import { lookup as dnsLookup, type LookupAddress, type LookupAllOptions } from 'node:dns';
import { BlockList, isIP, type LookupFunction, SocketAddress } from 'node:net';

/** Why an address is refused. `loopback`, `private` and `special` may be opened by policy, the others never. */
export type AddressClass = 'public' | 'private' | 'loopback' | 'special' | 'linkLocal' | 'metadata' | 'unspecified' | 'multicast' | 'reserved';

export interface AddressPolicy {
  /** CIDR ranges or single addresses that are let through although they are loopback, private or special-purpose. */
  readonly allow: readonly string[];
  /** Refuse private ranges (RFC 1918, RFC 4193, RFC 6598) that `allow` does not name. Default: true. */
  readonly denyPrivate?: boolean;
}

export interface AddressGuard {
  /** Undefined when a connection to this IP address is allowed. */
  refusal(address: string): AddressRefusedError | undefined;
  /** For `net.connect`: resolves as `dns.lookup` does and hands out only allowed addresses, so that what was checked is what is connected to. */
  readonly lookup: LookupFunction;
}

/** The address must not be reached from here. The message names the class, so that an operator knows what to allow. */
export class AddressRefusedError extends Error {
  readonly code = 'AddressRefused';
  readonly addressClass: AddressClass;
  /** The address stood in the URL itself, so that another try finds the same. */
  readonly literal: boolean;
  constructor(address: string, addressClass: AddressClass, literal = false) {
    super(`address ${address} is refused: ${addressClass}`);
    this.name = 'AddressRefusedError';
    this.addressClass = addressClass;
    this.literal = literal;
  }
}

/** First match wins. IANA special-purpose registries (RFC 6890), and the addresses at which clouds hand out credentials. */
const CLASSES: readonly (readonly [AddressClass, readonly string[]])[] = [
  ['metadata', ['169.254.169.254', '169.254.170.2', '169.254.170.23', '168.63.129.16', '100.100.100.200', '192.0.0.192', 'fd00:ec2::/32', 'fd20:ce::254']],
  ['linkLocal', ['169.254.0.0/16', 'fe80::/10']],
  ['unspecified', ['0.0.0.0/8', '::/128']],
  ['multicast', ['224.0.0.0/4', 'ff00::/8']],
  // Teredo and the local NAT64 prefix hide an IPv4 address in ways that depend on the network: nothing to check.
  ['reserved', ['240.0.0.0/4', '2001::/32', '64:ff9b:1::/48', '100::/64']],
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7', 'fec0::/10']],
  ['special', ['192.0.0.0/24', '192.0.2.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '192.88.99.0/24', '2001:db8::/32', '::/8']],
];
const OPENABLE: ReadonlySet<AddressClass> = new Set(['loopback', 'private', 'special']);
const RANGES = CLASSES.map(([name, cidrs]) => [name, rangesOf(cidrs)] as const);

/** Class of an IP address in text form; an IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4) is classed as itself. */
export function classifyAddress(address: string): AddressClass {
  for (const form of formsOf(address)) {
    for (const [name, ranges] of RANGES) if (contains(ranges, form)) return name;
  }
  return 'public';
}

/** All addresses of a name: `dns.lookup`, or another in tests. */
export type ResolveAll = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** @throws {RangeError} when `allow` holds something that is no address or range. */
export function createAddressGuard(policy: AddressPolicy, resolve: ResolveAll = dnsLookup): AddressGuard {
  const allow = rangesOf(policy.allow);
  const denyPrivate = policy.denyPrivate ?? true;
  const refusal = (address: string): AddressRefusedError | undefined => {
    if (isIP(address) === 0) return new AddressRefusedError(address, 'reserved');
    const found = classifyAddress(address);
    if (found === 'public' || (found === 'private' && !denyPrivate)) return undefined;
    if (OPENABLE.has(found) && formsOf(address).some((form) => contains(allow, form))) return undefined;
    return new AddressRefusedError(address, found);
  };
  return { refusal, lookup: guardedLookup(refusal, resolve) };
}

function guardedLookup(refusal: AddressGuard['refusal'], resolve: ResolveAll): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, [], 0);
      const allowed = addresses.filter(({ address }) => refusal(address) === undefined);
      const [first] = allowed;
      if (first === undefined) return callback(refusal(addresses[0]?.address ?? '') ?? new AddressRefusedError(hostname, 'reserved'), [], 0);
      if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

interface AddressForm {
  readonly address: string;
  readonly family: 'ipv4' | 'ipv6';
}

/** The IPv4 address that is really meant comes first; the IPv6 form itself follows, unless it is only a wrapping. */
function formsOf(address: string): readonly AddressForm[] {
  const bare = address.replace(/%.*$/, '');
  if (isIP(bare) === 4) return [{ address: bare, family: 'ipv4' }];
  const groups = groupsOf(bare);
  const self: AddressForm = { address: bare, family: 'ipv6' };
  const embedded = (high: number, low: number): AddressForm => {
    return { address: [high >> 8, high & 255, low >> 8, low & 255].join('.'), family: 'ipv4' };
  };
  const [g0 = 0, g1 = 0, g2 = 0, g3 = 0, g4 = 0, g5 = 0, g6 = 0, g7 = 0] = groups;
  const zeroTo = (end: number): boolean => groups.slice(0, end).every((group) => group === 0);
  if (zeroTo(5) && g5 === 0xffff) return [embedded(g6, g7)];
  if (g0 === 0x64 && g1 === 0xff9b && g2 === 0 && g3 === 0 && g4 === 0 && g5 === 0) return [embedded(g6, g7)];
  if (g0 === 0x2002) return [embedded(g1, g2), self];
  if (zeroTo(6) && g6 !== 0) return [embedded(g6, g7), self];
  if ((g4 & 0xfdff) === 0 && g5 === 0x5efe) return [embedded(g6, g7), self];
  return [self];
}

/** The eight 16-bit groups of a valid IPv6 address. */
function groupsOf(address: string): readonly number[] {
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    return `${(Number(a) * 256 + Number(b)).toString(16)}:${(Number(c) * 256 + Number(d)).toString(16)}`;
  });
  const [head = '', tail] = canonical.split('::');
  const words = (part: string): number[] => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)));
  const front = words(head);
  if (tail === undefined) return front;
  const back = words(tail);
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
}

/** Apart by family: an IPv6 list of Node also answers for IPv4 addresses, as mapped ones. */
interface Ranges {
  readonly ipv4: BlockList;
  readonly ipv6: BlockList;
}

function contains(ranges: Ranges, form: AddressForm): boolean {
  return ranges[form.family].check(form.address, form.family);
}

function rangesOf(cidrs: readonly string[]): Ranges {
  const ranges: Ranges = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const cidr of cidrs) {
    const match = /^([0-9A-Fa-f.:]+)(?:\/(\d{1,3}))?$/.exec(cidr);
    const address = match?.[1] ?? '';
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    const widest = family === 'ipv4' ? 32 : 128;
    const bits = Number(match?.[2] ?? widest);
    if (isIP(address) === 0 || bits > widest) throw new RangeError(`not an address range: ${cidr}`);
    ranges[family].addSubnet(address, bits, family);
  }
  return ranges;
}
