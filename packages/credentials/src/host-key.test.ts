import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { generateHostKey, HostKeyError, readHostKey } from './host-key.ts';

const directory = mkdtempSync(join(tmpdir(), 'skiff-host-keys-'));
after(() => rmSync(directory, { recursive: true }));

function publicKeyByOpenSsh(privateKey: string): string {
  const file = join(directory, 'key');
  writeFileSync(file, privateKey, { mode: 0o600 });
  try {
    return execFileSync('ssh-keygen', ['-y', '-f', file], { encoding: 'utf8' }).trim();
  } finally {
    rmSync(file);
  }
}

function asPkcs8(pem: string): string {
  return createPrivateKey(pem).export({ type: 'pkcs8', format: 'pem' }).toString();
}

describe('host key', () => {
  it('is one that OpenSSH reads, and never the same twice', () => {
    const key = generateHostKey();
    assert.equal(publicKeyByOpenSsh(key.privateKey.reveal()), key.publicKey);
    assert.notEqual(generateHostKey().publicKey, key.publicKey);
  });

  it('is of the kind that was asked for, in a form that OpenSSH reads', () => {
    for (const [algorithm, name, form] of [
      ['ECDSA', 'ecdsa-sha2-nistp256', 'BEGIN EC PRIVATE KEY'],
      ['RSA', 'ssh-rsa', 'BEGIN RSA PRIVATE KEY'],
    ] as const) {
      const key = generateHostKey(algorithm);
      assert.equal(key.algorithm, name);
      assert.ok(key.privateKey.reveal().includes(form));
      assert.equal(publicKeyByOpenSsh(key.privateKey.reveal()), key.publicKey);
      // PKCS#8 is what other tools write and SSH servers do not read.
      assert.equal(readHostKey(asPkcs8(key.privateKey.reveal())).privateKey.reveal(), key.privateKey.reveal());
    }
  });

  it('reads back the same from what was stored', () => {
    const key = generateHostKey();
    const again = readHostKey(key.privateKey.reveal());
    assert.deepEqual({ ...again, privateKey: again.privateKey.reveal() }, { ...key, privateKey: key.privateKey.reveal() });
  });

  for (const args of [
    ['-t', 'ed25519'],
    ['-t', 'ecdsa', '-b', '256'],
    ['-t', 'rsa', '-b', '2048'],
    ['-t', 'rsa', '-b', '2048', '-m', 'PEM'],
    ['-t', 'ecdsa', '-b', '521', '-m', 'PKCS8'],
  ]) {
    it(`reads what ssh-keygen ${args.join(' ')} makes`, () => {
      const file = join(directory, args.join(''));
      execFileSync('ssh-keygen', ['-q', '-N', '', '-C', '', '-f', file, ...args]);
      const key = readHostKey(readFileSync(file, 'utf8'));
      assert.equal(key.publicKey, readFileSync(`${file}.pub`, 'utf8').trim());
      assert.equal(key.fingerprint, execFileSync('ssh-keygen', ['-l', '-f', file], { encoding: 'utf8' }).split(' ')[1]);
    });
  }

  it('reads ed25519 in PKCS8', () => {
    const { privateKey } = generateKeyPairSync('ed25519', {
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    assert.equal(readHostKey(privateKey).algorithm, 'ssh-ed25519');
  });

  it('refuses what a server cannot use, without repeating it', () => {
    const file = join(directory, 'locked');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'secret-phrase', '-f', file]);
    const { privateKey: ed448 } = generateKeyPairSync('ed448', {
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    const texts = [readFileSync(file, 'utf8'), readFileSync(`${file}.pub`, 'utf8'), ed448, '', 'x', generateHostKey().privateKey.reveal().slice(0, 200)];
    for (const text of texts) {
      assert.throws(
        () => readHostKey(text),
        (error) => error instanceof HostKeyError && (text.length < 2 || !error.message.includes(text.slice(40, 80))),
      );
    }
  });

  it('does not show its private part when it is printed', () => {
    assert.ok(!`${inspect(generateHostKey())}${JSON.stringify(generateHostKey())}`.includes('PRIVATE'));
  });
});
