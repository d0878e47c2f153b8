import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { PublicKeyError, parsePublicKey, readPublicKey } from './ssh-public-key.ts';
import { wireString } from './ssh-wire.ts';

const ED25519 = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOYzmgsmh35PF780tWVZjad3nKhtDQgwPriLvRzrcCbE';
const directory = mkdtempSync(join(tmpdir(), 'skiff-keys-'));
after(() => rmSync(directory, { recursive: true }));

function keygen(...args: readonly string[]): string {
  const file = join(directory, args.join('-'));
  execFileSync('ssh-keygen', ['-q', '-N', '', '-C', 'anna@laptop', '-f', file, ...args]);
  return file;
}

function reasonFor(line: string): string {
  const read = readPublicKey(line);
  return read.ok ? 'accepted' : read.reason;
}

describe('SSH public key', () => {
  const kinds = [
    ['-t', 'ed25519'],
    ['-t', 'ecdsa', '-b', '256'],
    ['-t', 'ecdsa', '-b', '384'],
    ['-t', 'ecdsa', '-b', '521'],
    ['-t', 'rsa', '-b', '2048'],
  ];
  for (const kind of kinds) {
    it(`reads what ssh-keygen ${kind.join(' ')} makes, with the same fingerprint`, () => {
      const file = keygen(...kind);
      const line = readFileSync(`${file}.pub`, 'utf8');
      const key = parsePublicKey(line);
      assert.deepEqual([key.algorithm, key.blob], line.split(' ').slice(0, 2));
      const fingerprint = execFileSync('ssh-keygen', ['-l', '-f', `${file}.pub`], { encoding: 'utf8' }).split(' ')[1];
      assert.equal(key.fingerprint, fingerprint);
    });
  }

  it('refuses what is not safe or not supported, and says what to do', () => {
    const [, base64 = ''] = ED25519.split(' ');
    const cases: readonly [string, RegExp][] = [
      [readFileSync(`${keygen('-t', 'rsa', '-b', '1024')}.pub`, 'utf8'), /2048 to 16384 bits; this one has 1024/],
      [`sk-ssh-ed25519@openssh.com ${base64}`, /security tokens .* not supported yet/],
      [`ssh-dss ${base64}`, /ssh-keygen -t ed25519/],
      [`ssh-ed25519-cert-v01@openssh.com ${base64}`, /certificates are not supported/],
      [`from="10.0.0.1",no-pty ${ED25519}`, /options before the key .* allowedSourceRanges/],
      [`restrict ${ED25519}`, /options before the key/],
      [`${ED25519}\n${ED25519}`, /one entry per key/],
      [readFileSync(keygen('-t', 'ed25519', '-a', '1'), 'utf8'), /private key/],
      ['---- BEGIN SSH2 PUBLIC KEY ----', /ssh-keygen -i/],
      ['ssh-ed25519', /not base64/],
      [`ssh-ed25519 ${base64.slice(0, -4)}`, /cut off/],
      [`ssh-ed25519 ${base64}AAAA`, /more data/],
      [`ssh-rsa ${base64}`, /not of the kind ssh-rsa/],
      ['', /does not start with/],
      [base64, /does not start with/],
    ];
    for (const [line, reason] of cases) assert.match(reasonFor(line), reason, line.slice(0, 40));
  });

  it('refuses a point that is not on its curve', () => {
    const blob = Buffer.concat([wireString('ecdsa-sha2-nistp256'), wireString('nistp256'), wireString(Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 7)]))]);
    assert.match(reasonFor(`ecdsa-sha2-nistp256 ${blob.toString('base64')}`), /damaged/);
  });

  it('refuses RSA numbers that no key has', () => {
    const modulus = Buffer.concat([Buffer.from([0]), Buffer.alloc(256, 0xff)]);
    const line = (exponent: Buffer, n: Buffer) => `ssh-rsa ${Buffer.concat([wireString('ssh-rsa'), wireString(exponent), wireString(n)]).toString('base64')}`;
    assert.equal(reasonFor(line(Buffer.from([1, 0, 1]), modulus)), 'accepted');
    assert.match(reasonFor(line(Buffer.from([1]), modulus)), /damaged/);
    assert.match(reasonFor(line(Buffer.from([4]), modulus)), /damaged/);
    assert.match(reasonFor(line(Buffer.alloc(64, 3), modulus)), /damaged/);
    assert.match(reasonFor(line(Buffer.from([0, 3]), modulus)), /shortest form/);
    assert.match(reasonFor(line(Buffer.from([3]), Buffer.alloc(256, 0xff))), /not positive/);
  });

  it('throws nothing but its own error, whatever the bytes', () => {
    const algorithm = fc.constantFrom('ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa');
    const anyBlob = fc
      .tuple(algorithm, fc.uint8Array({ maxLength: 200 }))
      .map(([name, rest]) => `${name} ${Buffer.concat([wireString(name), rest]).toString('base64')}`);
    fc.assert(
      fc.property(fc.oneof(anyBlob, fc.string({ unit: 'binary' })), (line) => {
        try {
          parsePublicKey(line);
        } catch (error) {
          assert.ok(error instanceof PublicKeyError, String(error));
        }
      }),
    );
  });

  it('takes no second encoding of the same key: any other base64 is refused or another key', () => {
    const { blob } = parsePublicKey(ED25519);
    fc.assert(
      fc.property(fc.nat(blob.length - 1), fc.constantFrom('A', 'B', '=', '-', '_', '\0'), (index, char) => {
        const changed = `${blob.slice(0, index)}${char}${blob.slice(index + 1)}`;
        const read = readPublicKey(`ssh-ed25519 ${changed}`);
        assert.ok(!read.ok || read.blob === changed);
      }),
    );
  });
});
