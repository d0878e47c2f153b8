import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateHostKey } from '@skiff/credentials/host-key';
import type { EndpointHostKey } from '@skiff/model/host-key';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import { Secret } from '@skiff/runtime/secret';
import type { SecretLookup } from '../resource-source.ts';
import { resolveHostKeys } from './resolve-host-keys.ts';

const given = generateHostKey('ECDSA');
const SECRETS: Readonly<Record<string, SecretLookup>> = {
  'team/old-server/ecdsa': { kind: 'found', value: new Secret(given.privateKey.reveal()) },
  'team/old-server/rsa': { kind: 'keyNotFound' },
  'team/damaged/key': { kind: 'found', value: new Secret('no key') },
  'team/closed/key': { kind: 'accessNotGranted', hint: 'run this' },
};
const source = {
  secretValue: (namespace: string, name: string, key: string): Promise<SecretLookup> =>
    Promise.resolve(SECRETS[`${namespace}/${name}/${key}`] ?? { kind: 'secretNotFound' }),
};

function resolve(hostKeys?: EndpointHostKey[]): ReturnType<typeof resolveHostKeys> {
  const metadata = { name: 'main', namespace: 'team', uid: 'u', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' };
  const spec = { storage: { local: { path: '/srv' } }, ...(hostKeys === undefined ? {} : { hostKeys }) };
  const endpoint: SftpEndpoint = { apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpEndpoint', metadata, spec };
  return resolveHostKeys(source, endpoint);
}

test('an endpoint that says nothing of host keys wants the default', async () => {
  assert.deepEqual(await resolve(), { wish: 'default', obstacle: undefined });
});

test('each entry is wanted by its name and in its state, of its algorithm where it is to be made, or as its Secret gives it', async () => {
  const { wish, obstacle } = await resolve([
    { name: 'one', state: 'Active' },
    { name: 'two', state: 'Next', algorithm: 'RSA' },
    { name: 'three', state: 'Retired', secretRef: { name: 'old-server', key: 'ecdsa' } },
  ]);
  assert.equal(obstacle, undefined);
  assert.ok(typeof wish !== 'string');
  assert.deepEqual(
    wish.map(({ name, state, algorithm, given: key }) => [name, state, algorithm, key?.fingerprint]),
    [
      ['one', 'Active', 'Ed25519', undefined],
      ['two', 'Next', 'RSA', undefined],
      ['three', 'Retired', 'Ed25519', given.fingerprint],
    ],
  );
});

test('while a Secret cannot give its key, nothing changes, and the reason names the entry', async () => {
  for (const [name, key, reason] of [
    ['gone', 'key', 'SecretNotFound'],
    ['old-server', 'rsa', 'SecretKeyNotFound'],
    ['damaged', 'key', 'SecretInvalid'],
    ['closed', 'key', 'SecretAccessNotGranted'],
  ] as const) {
    const { wish, obstacle } = await resolve([
      { name: 'one', state: 'Active' },
      { name: 'theirs', state: 'Next', secretRef: { name, key } },
    ]);
    assert.deepEqual([wish, obstacle?.reason], ['asTheyAre', reason]);
    assert.match(obstacle?.message ?? '', new RegExp(`^host key theirs: .*Secret team/${name}`));
  }
});
