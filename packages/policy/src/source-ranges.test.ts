import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseCidr, SourceRangeError, toSourceRanges } from './source-ranges.ts';

const ipv4 = (bits: number): string => [bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255].join('.');
const ipv6 = (bits: bigint): string => Array.from({ length: 8 }, (_, index) => ((bits >> BigInt(112 - 16 * index)) & 0xffffn).toString(16)).join(':');
const anyIpv4 = fc.integer({ min: 0, max: 0xffffffff });
// Outside ::ffff:0:0/96, whose members are IPv4.
const anyIpv6 = fc.bigInt({ min: 1n << 96n, max: (1n << 128n) - 1n });

describe('source ranges', () => {
  it('hold exactly the IPv4 addresses that share the prefix', () => {
    fc.assert(
      fc.property(anyIpv4, anyIpv4, fc.integer({ min: 0, max: 32 }), fc.boolean(), (base, other, prefix, near) => {
        const address = near ? (base ^ (other >>> Math.min(prefix, 31))) >>> 0 : other;
        const shift = BigInt(32 - prefix);
        const expected = BigInt(base) >> shift === BigInt(address) >> shift;
        assert.equal(toSourceRanges([`${ipv4(base)}/${prefix}`]).includes(ipv4(address)), expected);
      }),
    );
  });

  it('hold exactly the IPv6 addresses that share the prefix', () => {
    fc.assert(
      fc.property(anyIpv6, anyIpv6, fc.integer({ min: 0, max: 128 }), fc.boolean(), (base, other, prefix, near) => {
        const address = near ? base ^ (other >> BigInt(Math.max(prefix, 33))) : other;
        fc.pre(address >= 1n << 96n);
        const shift = BigInt(128 - prefix);
        assert.equal(toSourceRanges([`${ipv6(base)}/${prefix}`]).includes(ipv6(address)), base >> shift === address >> shift);
      }),
    );
  });

  it('treat an IPv4-mapped address as the IPv4 address it carries, on either side', () => {
    fc.assert(
      fc.property(anyIpv4, fc.integer({ min: 0, max: 32 }), (base, prefix) => {
        const mapped = `::ffff:${ipv4(base)}`;
        assert.ok(toSourceRanges([`${ipv4(base)}/${prefix}`]).includes(mapped));
        assert.ok(toSourceRanges([`${mapped}/${96 + prefix}`]).includes(ipv4(base)));
        assert.ok(toSourceRanges([ipv4(base)]).includes(`::ffff:${(base >>> 16).toString(16)}:${(base & 0xffff).toString(16)}`));
      }),
    );
    assert.ok(!toSourceRanges(['::/0']).includes('192.0.2.1'));
    assert.ok(!toSourceRanges(['0.0.0.0/0']).includes('2001:db8::1'));
  });

  it('admit nobody when empty, and never what is no address', () => {
    assert.ok(!toSourceRanges([]).includes('192.0.2.1'));
    for (const text of ['', 'localhost', '192.0.2', '192.0.2.1:22', '0300.0.2.1']) assert.ok(!toSourceRanges(['0.0.0.0/0', '::/0']).includes(text), text);
  });

  it('match a link-local address without its zone', () => {
    assert.ok(toSourceRanges(['fe80::/10']).includes('fe80::1%eth0'));
  });

  it('refuse what is no range', () => {
    for (const text of [
      '',
      '192.0.2.0/33',
      '192.0.2.0/-1',
      '192.0.2.0/024',
      '192.0.2/24',
      '2001:db8::/129',
      '::ffff:192.0.2.0/95',
      '010.0.0.1',
      'fe80::1%eth0',
      '1/2',
      '192.0.2.0/24 ',
    ]) {
      assert.equal(parseCidr(text), undefined, text);
      assert.throws(() => toSourceRanges(['192.0.2.1', text]), SourceRangeError);
    }
    fc.assert(fc.property(fc.string(), (text) => parseCidr(text) === undefined || /^[0-9a-fA-F.:/]+$/.test(text)));
  });
});
