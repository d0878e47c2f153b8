import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import ssh2 from 'ssh2';
import { TestClient } from '../testing/ssh2-client.ts';
import { newKey, startTestListener } from '../testing/test-listener.ts';
import { parseHostKey } from './host-key.ts';
import { Ssh2ShapeError, serverChannel, serverClient } from './members.ts';
import { PINNED_SSH2_VERSION, selfCheck } from './self-check.ts';

const require = createRequire(import.meta.url);
const folder = dirname(require.resolve('ssh2/package.json'));

test('the installed ssh2 is the pinned one, with its native binding', async () => {
  assert.equal(require('ssh2/package.json').version, PINNED_SSH2_VERSION);
  await selfCheck();
});

test('package.json pins the exact version', () => {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
  assert.equal(manifest.dependencies.ssh2, PINNED_SSH2_VERSION);
});

test('refuses a foreign shape by the name of the missing member', () => {
  assert.throws(
    () => serverClient({}),
    (error) => error instanceof Ssh2ShapeError && error.message.includes('client._protocol'),
  );
  assert.throws(() => serverChannel({ incoming: {}, outgoing: {} }), Ssh2ShapeError);
});

// What the code relies on without being able to see it in a shape: each line was read in the pinned version.
for (const [file, lines] of Object.entries({
  'lib/server.js': ['channel.push(data) === false', 'channel._waitWindow = false;', 'channel._chunkcb();', 'proto._destruct', 'handshake'],
  'lib/utils.js': ['if (channel.readable)\n    channel.push(null);', "channel.emit('close');"],
  'lib/protocol/Protocol.js': ['this._onHeader(header);', 'kexinit(this);', 'this._kex.remoteExtInfoEnabled'],
  'lib/protocol/kex.js': [
    'onPayload: this._protocol._onPayload',
    'const pubKey = this.convertPublicKey(this._dhData);',
    'let secret = this.computeSecret(this._dhData);',
  ],
  'lib/protocol/keyParser.js': ['if (isParsedKey(data))\n    return data;'],
})) {
  test(`${file} still says what this folder relies on`, () => {
    const text = readFileSync(join(folder, file), 'utf8');
    for (const line of lines) assert.ok(text.includes(line), line);
  });
}

for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) {
  test(`a kept ${type} host key signs as ssh2's own does, and clients accept it`, async () => {
    const text = newKey(type).private;
    const { config } = parseHostKey(text);
    const own = ssh2.utils.parseKey(text);
    assert.ok(!(own instanceof Error));
    const data = Buffer.from('exchange hash');
    const hash = type === 'rsa' ? 'sha256' : undefined;
    assert.equal(own.verify(data, config.key.sign(data, hash), hash), true);
    const { Secret } = await import('@skiff/runtime/secret');
    await using server = await startTestListener({ hostKeys: [new Secret(text)] });
    using client = await new TestClient(server.listener.port).login();
    assert.equal(client.isClosed, false);
  });
}

test('refuses a public or unreadable host key', () => {
  assert.throws(() => parseHostKey(newKey().public), /private/);
  assert.throws(() => parseHostKey('nonsense'), /cannot parse/);
});
