import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateHostKey } from '@skiff/credentials/host-key';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import { silentLogger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import { ConfigurationError, Environment } from '../configuration/environment.ts';
import { followMounts, readHostKeys, readSettings } from './mounted-endpoint.ts';

const SETTINGS: EndpointSettings = {
  namespace: 'default',
  name: 'main',
  port: 2222,
  authenticationMethods: ['PublicKey'],
  allowedSourceRanges: null,
  storage: { kind: 'local', path: '/srv' },
  events: null,
  maxSessions: 5,
};
const [first, second] = [generateHostKey(), generateHostKey()];

describe('mounted endpoint', () => {
  let folder: string;
  let environment: Environment;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'skiff-mounted-'));
    environment = new Environment({ SKIFF_ENDPOINT_FILE: join(folder, 'endpoint.json'), SKIFF_HOST_KEY_FILES: folder });
    writeFileSync(join(folder, 'endpoint.json'), JSON.stringify(SETTINGS));
    writeFileSync(join(folder, 'ssh_host_ed25519_key'), first.privateKey.reveal());
    writeFileSync(join(folder, 'ssh_host_ed25519_key.pub'), first.publicKey);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('reads private keys, of a folder or of files, and nothing else of the folder', () => {
    // Next and Retired keys lie beside those that are served.
    for (const file of ['kept_host_y27_key', 'dropped_host_y26_key', 'ssh_host_ed25519_key.pub', 'ssh_host_ed25519_key.given'])
      writeFileSync(join(folder, file), second.privateKey.reveal());
    const byFile = new Environment({ SKIFF_HOST_KEY_FILES: ` ${join(folder, 'ssh_host_ed25519_key')} ` });
    for (const source of [environment, byFile])
      assert.deepEqual(
        readHostKeys(source).map((key) => key.reveal()),
        [first.privateKey.reveal()],
      );
  });

  it('refuses a folder without keys, a file that is none and a path that is not there', () => {
    rmSync(join(folder, 'ssh_host_ed25519_key'));
    assert.throws(() => readHostKeys(environment), ConfigurationError);
    writeFileSync(join(folder, 'ssh_host_ed25519_key'), 'no key');
    assert.throws(() => readHostKeys(environment), ConfigurationError);
    assert.throws(() => readHostKeys(new Environment({ SKIFF_HOST_KEY_FILES: join(folder, 'nowhere') })), ConfigurationError);
    assert.throws(() => readSettings(new Environment({})), ConfigurationError);
  });

  it('hands on changed settings and keys, once each; keeps what needs a restart, and everything while a file is half written', async () => {
    const seen: { readonly settings: EndpointSettings[]; readonly keys: string[] } = { settings: [], keys: [] };
    const server = {
      updateSettings: (settings: EndpointSettings) => void seen.settings.push(settings),
      setHostKeys: (keys: readonly Secret<string>[]) => void seen.keys.push(...keys.map((key) => key.reveal())),
    };
    const following = followMounts({ environment, server, settings: SETTINGS, hostKeys: readHostKeys(environment), logger: silentLogger });
    try {
      writeFileSync(join(folder, 'endpoint.json'), '{"namespace":');
      await sleep(2_500);
      assert.deepEqual(seen, { settings: [], keys: [] });
      writeFileSync(join(folder, 'endpoint.json'), JSON.stringify({ ...SETTINGS, maxSessions: 9, storage: { kind: 'local', path: '/other' } }));
      writeFileSync(join(folder, 'ssh_host_ed25519_key'), second.privateKey.reveal());
      for (let waited = 0; seen.keys.length === 0 && waited < 10_000; waited += 50) await sleep(50);
      await sleep(2_500);
      assert.deepEqual(seen, { settings: [{ ...SETTINGS, maxSessions: 9 }], keys: [second.privateKey.reveal()] });
    } finally {
      await following.stop();
    }
  });
});
