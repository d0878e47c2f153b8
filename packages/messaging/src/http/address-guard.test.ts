import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AddressRefusedError, classifyAddress, createAddressGuard } from './address-guard.ts';

const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
const hex = (high: number, low: number) => (high * 256 + low).toString(16);

describe('address guard', () => {
  const guard = createAddressGuard({ allow: [] });

  it('refuses loopback, link-local, metadata, unspecified, multicast and private addresses', () => {
    for (const [address, expected] of [
      ['127.0.0.1', 'loopback'],
      ['127.255.1.2', 'loopback'],
      ['::1', 'loopback'],
      ['0:0:0:0:0:0:0:1', 'loopback'],
      ['169.254.169.254', 'metadata'],
      ['168.63.129.16', 'metadata'],
      ['fd00:ec2::254', 'metadata'],
      ['169.254.1.1', 'linkLocal'],
      ['fe80::1', 'linkLocal'],
      ['fe80::1%eth0', 'linkLocal'],
      ['0.0.0.0', 'unspecified'],
      ['0.1.2.3', 'unspecified'],
      ['::', 'unspecified'],
      ['224.0.0.1', 'multicast'],
      ['ff02::1', 'multicast'],
      ['255.255.255.255', 'reserved'],
      ['2001:0:53aa::1', 'reserved'],
      ['64:ff9b:1::7f00:1', 'reserved'],
      ['10.1.2.3', 'private'],
      ['172.31.0.1', 'private'],
      ['192.168.0.1', 'private'],
      ['100.64.0.1', 'private'],
      ['fd12:3456::1', 'private'],
      ['198.18.0.1', 'special'],
    ] as const) {
      assert.equal(guard.refusal(address)?.addressClass, expected, address);
    }
  });

  it('lets public addresses through', () => {
    for (const address of ['8.8.8.8', '172.32.0.1', '2606:4700::1111', '::ffff:8.8.8.8', '64:ff9b::808:808', '2002:808:808::1']) {
      assert.equal(guard.refusal(address), undefined, address);
    }
  });

  it('classes an IPv4 address the same in every IPv6 wrapping', () => {
    fc.assert(
      fc.property(octets, ([a, b, c, d]) => {
        const plain = classifyAddress(`${a}.${b}.${c}.${d}`);
        const tail = `${hex(a, b)}:${hex(c, d)}`;
        assert.equal(classifyAddress(`::ffff:${a}.${b}.${c}.${d}`), plain);
        assert.equal(classifyAddress(`::FFFF:${tail}`), plain);
        assert.equal(classifyAddress(`0:0:0:0:0:ffff:${tail}`), plain);
        assert.equal(classifyAddress(`64:ff9b::${tail}`), plain);
        if (plain !== 'public') {
          assert.notEqual(classifyAddress(`2002:${tail}::1`), 'public');
          assert.notEqual(classifyAddress(`::${tail}`), 'public');
          assert.notEqual(classifyAddress(`2606::5efe:${tail}`), 'public');
        }
      }),
    );
  });

  it('refuses whatever host form a URL gives to a refused IPv4 address: decimal, octal, hexadecimal, short', () => {
    fc.assert(
      fc.property(fc.constantFrom(127, 0, 169, 10), octets, (first, [, b, c, d]) => {
        const [x, y] = first === 169 ? [254, c] : [b, c];
        const number = ((first * 256 + x) * 256 + y) * 256 + d;
        const forms = [
          String(number),
          `0x${number.toString(16)}`,
          `0${number.toString(8)}`,
          `0x${first.toString(16)}.${x}.0${y.toString(8)}.${d}`,
          `${first}.${(x * 256 + y) * 256 + d}`,
          `${first}.${x}.${y * 256 + d}`,
        ];
        for (const form of forms) {
          const { hostname } = new URL(`http://${form}/`);
          assert.notEqual(guard.refusal(hostname), undefined, form);
        }
      }),
    );
  });

  it('never throws and refuses what is no address', () => {
    fc.assert(fc.property(fc.string(), (text) => guard.refusal(text) instanceof AddressRefusedError));
    fc.assert(fc.property(fc.ipV6(), (address) => void guard.refusal(address)));
    fc.assert(fc.property(fc.ipV4(), (address) => void guard.refusal(address)));
  });

  it('opens loopback and private ranges that the policy allows, but never metadata or link-local ones', () => {
    const open = createAddressGuard({ allow: ['0.0.0.0/0', '::/0'] });
    for (const address of ['127.0.0.1', '::1', '10.0.0.1', '::ffff:10.0.0.1', 'fd12::1']) assert.equal(open.refusal(address), undefined, address);
    for (const address of ['169.254.169.254', '169.254.0.9', 'fe80::1', '0.0.0.0', '::', '224.0.0.1', '64:ff9b::a9fe:a9fe']) {
      assert.notEqual(open.refusal(address), undefined, address);
    }
    const one = createAddressGuard({ allow: ['10.2.0.0/16'] });
    assert.equal(one.refusal('10.2.9.9'), undefined);
    assert.equal(one.refusal('10.3.0.1')?.addressClass, 'private');
    const lenient = createAddressGuard({ allow: [], denyPrivate: false });
    assert.equal(lenient.refusal('10.3.0.1'), undefined);
    assert.equal(lenient.refusal('127.0.0.1')?.addressClass, 'loopback');
  });

  it('refuses a policy with something that is no range', () => {
    for (const bad of ['', 'localhost', '10.0.0.0/33', '10.0.0.0/', '::/129', '10.0.0.0/8/8', '10.0.0.0/-1']) {
      assert.throws(() => createAddressGuard({ allow: [bad] }), RangeError, bad);
    }
  });

  it('gives net.connect only allowed addresses of a name', async () => {
    const resolve = (lookup: typeof guard.lookup) =>
      new Promise<unknown>((settle) => lookup('localhost', { all: true }, (error, addresses) => settle(error ?? addresses)));
    assert.ok((await resolve(guard.lookup)) instanceof AddressRefusedError);
    assert.ok(Array.isArray(await resolve(createAddressGuard({ allow: ['127.0.0.0/8', '::1'] }).lookup)));
  });

  it('checks the very answer that is connected to, so that a name which changes its address meanwhile gains nothing', async () => {
    const answers = [['203.0.113.5', '93.184.216.34', '169.254.169.254'], ['127.0.0.1'], ['::ffff:10.0.0.1'], []];
    let asked = 0;
    const rebinding = createAddressGuard({ allow: [] }, (_hostname, _options, callback) => {
      const addresses = (answers[asked++] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
      callback(null, addresses);
    });
    const resolve = (all: boolean) =>
      new Promise<unknown>((settle) => rebinding.lookup('evil.example', { all }, (error, addresses) => settle(error ?? addresses)));
    assert.deepEqual(await resolve(true), [{ address: '93.184.216.34', family: 4 }]);
    for (let turn = 0; turn < 3; turn++) assert.ok((await resolve(turn === 0)) instanceof AddressRefusedError);
    assert.equal(asked, 4);
  });
});
