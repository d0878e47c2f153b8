import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateHostKey, readHostKey } from '@skiff/credentials/host-key';
import { Deployments, Secrets, SftpEndpoints } from '@skiff/kube/resource-type';
import { isRecord } from '@skiff/model/is-record';
import type { SkiffProcess } from '../support/skiff-process.ts';
import { conditionOf } from './conditions.ts';
import { endpointManifest } from './manifests.ts';
import { OperatorRig } from './operator-rig.ts';
import { until } from './until.ts';

const SECRET = 'skiff-main-host-keys';

describe('host keys of an endpoint on a Kubernetes API', () => {
  let rig: OperatorRig;
  let operator: SkiffProcess;

  before(async () => {
    rig = await OperatorRig.start({ endpointNamespaces: ['default'] });
    operator = await rig.startOperator('operator-0');
    await operator.waitFor('leadership', (line) => line.msg === 'leading');
    await rig.apply(endpoint());
    await until('the first key', 'ed25519 Active', shown);
  });
  after(() => rig?.[Symbol.asyncDispose]());

  const endpoint = (hostKeys?: readonly object[]) => endpointManifest('default', 'main', hostKeys === undefined ? {} : { hostKeys });

  /** The status, as `name state` of each key. */
  async function shown(): Promise<string> {
    return (await hostKeys())
      .map(({ name, state }) => `${name} ${state}`)
      .sort()
      .join(', ');
  }

  async function hostKeys(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const found = await rig.get(SftpEndpoints, 'main');
    return isRecord(found?.status) && Array.isArray(found.status.hostKeys) ? found.status.hostKeys.filter(isRecord) : [];
  }

  async function fingerprintOf(name: string): Promise<string> {
    return String((await hostKeys()).find((key) => key.name === name)?.fingerprint);
  }

  /** Fingerprints of what pods serve: they read these files of the mounted Secret and no others. */
  async function served(): Promise<readonly string[]> {
    return Object.entries(await files())
      .filter(([file]) => /^ssh_host_[a-z0-9]+_key$/.test(file))
      .map(([, text]) => readHostKey(text).fingerprint);
  }

  async function files(): Promise<Readonly<Record<string, string>>> {
    const secret = await rig.get(Secrets, SECRET);
    const data = isRecord(secret?.data) ? secret.data : {};
    return Object.fromEntries(Object.entries(data).map(([file, value]) => [file, Buffer.from(String(value), 'base64').toString('utf8')]));
  }

  const template = async () => JSON.stringify(Object((await rig.get(Deployments, 'skiff-main'))?.spec).template);

  it('are rotated by three changes of the spec, and no pod is replaced', async () => {
    const [before, old] = [await template(), await fingerprintOf('ed25519')];
    assert.deepEqual(await served(), [old]);
    await rig.apply(
      endpoint([
        { name: 'ed25519', state: 'Active' },
        { name: 'y27', state: 'Next' },
      ]),
    );
    await until('the next key', 'ed25519 Active, y27 Next', shown);
    assert.deepEqual(await served(), [old]);
    const next = await fingerprintOf('y27');
    await rig.apply(
      endpoint([
        { name: 'ed25519', state: 'Retired' },
        { name: 'y27', state: 'Active' },
      ]),
    );
    await until('the change', 'ed25519 Retired, y27 Active', shown);
    assert.deepEqual(await served(), [next]);
    await rig.apply(endpoint([{ name: 'y27', state: 'Active' }]));
    await until('the end', 'y27 Active', shown);
    assert.deepEqual(Object.keys(await files()).sort(), ['ssh_host_y27_key', 'ssh_host_y27_key.pub']);
    assert.equal(await template(), before);
  });

  it('are refused by the API server without one that is Active', async () => {
    const { output } = await rig.tryKubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(endpoint([{ name: 'y27', state: 'Next' }])));
    assert.match(output, /at least one host key must be Active/);
  });

  it('may be given, and while one cannot be used, what is served goes on', async () => {
    const given = generateHostKey('RSA');
    const wanted = [
      { name: 'y27', state: 'Active' },
      { name: 'oldserver', state: 'Active', secretRef: { name: 'old-server', key: 'rsa' } },
    ];
    const resolved = () => rig.condition(SftpEndpoints, 'main', 'ResolvedRefs');
    const served0 = await served();
    await rig.apply(endpoint(wanted));
    await until('what is missing', 'False SecretNotFound', resolved);
    assert.match(
      conditionOf(await rig.get(SftpEndpoints, 'main'), 'ResolvedRefs')?.message ?? '',
      /host key oldserver: Secret default\/old-server does not exist/,
    );
    await rig.kubectl(['create', 'secret', 'generic', 'old-server', '--from-literal=rsa=nonsense']);
    await until('what is damaged', 'False SecretInvalid', resolved);
    assert.deepEqual(await served(), served0);
    await rig.kubectl(['delete', 'secret', 'old-server']);
    await rig.kubectl(['create', 'secret', 'generic', 'old-server', `--from-literal=rsa=${given.privateKey.reveal()}`]);
    await until('the key', 'True ResolvedRefs', resolved);
    await until('its state', 'oldserver Active, y27 Active', shown);
    assert.deepEqual([...(await served())].sort(), [...served0, given.fingerprint].sort());
  });

  it('stay in the Secret when an entry goes while it is Active, and come back with it', async () => {
    const key = await fingerprintOf('y27');
    await rig.apply(endpoint([{ name: 'oldserver', state: 'Active', secretRef: { name: 'old-server', key: 'rsa' } }]));
    await until('what is left', 'oldserver Active', shown);
    assert.ok((await files()).dropped_host_y27_key);
    await rig.apply(
      endpoint([
        { name: 'y27', state: 'Active' },
        { name: 'oldserver', state: 'Retired' },
      ]),
    );
    await until('it is back', 'oldserver Retired, y27 Active', shown);
    assert.deepEqual([await fingerprintOf('y27'), await served()], [key, [key]]);
  });

  it('are left alone by a successor, which writes nothing while nothing changes', async () => {
    assert.equal(await operator.stop(), 0);
    const version = (await rig.get(Secrets, SECRET))?.metadata.resourceVersion;
    const keys = await files();
    operator = await rig.startOperator('operator-1');
    await operator.waitFor('leadership', (line) => line.msg === 'leading');
    await sleep(4_000);
    const writes = await rig.apiWrites();
    await sleep(3_000);
    assert.equal(await rig.apiWrites(), writes);
    assert.deepEqual([(await rig.get(Secrets, SECRET))?.metadata.resourceVersion, await files()], [version, keys]);
  });

  it('appear in no log', () => {
    assert.ok(!operator.lines.some((line) => JSON.stringify(line).includes('PRIVATE KEY')));
  });
});
