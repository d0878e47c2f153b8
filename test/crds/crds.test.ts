import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseResource } from '@skiff/model/parse-resource';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import { kubectl, tryKubectl, untilEstablished } from '../cluster/kubectl.ts';

const root = join(import.meta.dirname, '..', '..');
let controlPlane: ControlPlane;

type Manifest = Readonly<Record<string, unknown>>;
const base = {
  SftpEndpoint: { storage: { local: { path: '/srv' } } },
  SftpUser: { endpointRef: { name: 'main' }, username: 'anna' },
  EventRoute: { endpointRef: { name: 'main' }, targets: [{ name: 'app', http: { url: 'https://app.example/' } }] },
};

function manifest(kind: keyof typeof base, spec: Manifest, name = 'x'): Manifest {
  return { apiVersion: 'skiff.dev/v1alpha1', kind, metadata: { name, namespace: 'default' }, spec: { ...base[kind], ...spec } };
}

function parsedOk(value: Manifest): boolean {
  const metadata = { name: 'x', namespace: 'default', uid: 'u', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' };
  return parseResource({ ...value, metadata }).ok;
}

/** `--validate=strict` refuses unknown fields, as `kubectl apply` does by default. */
async function accepted(value: Manifest): Promise<{ readonly ok: boolean; readonly output: string }> {
  const { code, output } = await tryKubectl(controlPlane, ['apply', '--dry-run=server', '--validate=strict', '-f', '-'], JSON.stringify(value));
  return { ok: code === 0, output };
}

describe('generated CRDs on a Kubernetes API', () => {
  before(async () => {
    controlPlane = await startControlPlane();
    await kubectl(controlPlane, ['apply', '-f', join(root, 'crds')]);
    await untilEstablished(controlPlane);
  });
  after(async () => {
    await controlPlane?.stop();
  });

  it('are structural, without a warning', async () => {
    const { output } = await tryKubectl(controlPlane, ['get', 'crd', '-o', 'jsonpath={.items[*].status.conditions[?(@.type=="NonStructuralSchema")].message}']);
    assert.equal(output.trim(), '');
  });

  const keys = [{ name: 'a', publicKey: 'ssh-ed25519 AAAA' }];
  const cases: readonly [string, Manifest][] = [
    ['a plain endpoint', manifest('SftpEndpoint', {})],
    [
      'a plain user',
      manifest('SftpUser', { authorizedKeys: keys, allowedSourceRanges: [], permissions: [{ path: '/', allow: [] }], expiresAt: '2027-01-31T00:00:00+01:00' }),
    ],
    ['a plain route', manifest('EventRoute', { match: { paths: ['/**'] } })],
    ['an unknown field', manifest('SftpUser', { authorizedKey: keys })],
    ['no storage', manifest('SftpEndpoint', { storage: {} })],
    ['two storages', manifest('SftpEndpoint', { storage: { local: { path: '/srv' }, azureBlob: { account: 'abc', container: 'abc' } } })],
    [
      'a plain AMQP broker',
      manifest('SftpEndpoint', { events: { amqp: { url: 'amqps://broker', address: 'files', tls: { caSecretRef: { name: 'a', key: 'b' } } } } }),
    ],
    ['events of no kind', manifest('SftpEndpoint', { events: {} })],
    [
      'events of two kinds',
      manifest('SftpEndpoint', { events: { amqp: { url: 'amqps://broker', address: 'files' }, serviceBus: { namespace: 'contoso.servicebus', queue: 'q' } } }),
    ],
    ['a broker whose address holds credentials', manifest('SftpEndpoint', { events: { amqp: { url: 'amqps://user:secret@broker', address: 'files' } } })],
    ['a port out of range', manifest('SftpEndpoint', { service: { port: 0 } })],
    ['a port with a fraction', manifest('SftpEndpoint', { service: { port: 22.5 } })],
    ['no authentication method', manifest('SftpEndpoint', { authentication: { methods: [] } })],
    ['a method twice', manifest('SftpEndpoint', { authentication: { methods: ['Password', 'Password'] } })],
    ['an unknown method', manifest('SftpEndpoint', { authentication: { methods: ['None'] } })],
    ['two keys of one name', manifest('SftpUser', { authorizedKeys: [...keys, ...keys] })],
    [
      'two rules for one path',
      manifest('SftpUser', {
        permissions: [
          { path: '/', allow: [] },
          { path: '/', allow: ['Read'] },
        ],
      }),
    ],
    ['a range twice', manifest('SftpUser', { allowedSourceRanges: ['::1', '::1'] })],
    ['a username that climbs', manifest('SftpUser', { username: '../x' })],
    ['a username that ends in a dot', manifest('SftpUser', { username: 'anna.' })],
    ['a time without a zone', manifest('SftpUser', { expiresAt: '2027-01-31T00:00:00' })],
    ['a leap second', manifest('SftpUser', { expiresAt: '2026-06-30T23:59:60Z' })],
    ['a target of no kind', manifest('EventRoute', { targets: [{ name: 'a' }] })],
    ['no target', manifest('EventRoute', { targets: [] })],
    ['a missing reference', manifest('EventRoute', { endpointRef: undefined })],
    ['null for an object', manifest('SftpEndpoint', { storage: null })],
  ];
  for (const [name, value] of cases) {
    it(`judge ${name} as parseResource does`, async () => {
      const { ok, output } = await accepted(value);
      assert.equal(ok, parsedOk(value), output);
      assert.equal(ok, name.startsWith('a plain'), output);
    });
  }

  it('refuse authorities for a broker without TLS', async () => {
    const tls = { caSecretRef: { name: 'a', key: 'b' } };
    const { ok, output } = await accepted(manifest('SftpEndpoint', { events: { amqp: { url: 'amqp://broker', address: 'files', tls } } }));
    assert.equal(ok, false);
    assert.match(output, /tls goes with amqps:\/\/ only/);
  });

  it('promise order only where the queue keeps it', async () => {
    const ordering = 'PerPath';
    const amqp = await accepted(manifest('SftpEndpoint', { events: { amqp: { url: 'amqp://broker', address: 'files' }, ordering } }));
    assert.match(amqp.output, /PerPath needs serviceBus/);
    const serviceBus = await accepted(manifest('SftpEndpoint', { events: { serviceBus: { namespace: 'contoso.servicebus', queue: 'q' }, ordering } }));
    assert.ok(serviceBus.ok, serviceBus.output);
  });

  it('let nobody change the username or the endpoint of a user, or the endpoint of a route', async () => {
    for (const value of [manifest('SftpUser', {}, 'fixed'), manifest('EventRoute', {}, 'fixed')])
      assert.equal((await tryKubectl(controlPlane, ['apply', '-f', '-'], JSON.stringify(value))).code, 0);
    for (const [kind, spec] of [
      ['sftpu', { username: 'ben' }],
      ['sftpu', { endpointRef: { name: 'other' } }],
      ['evr', { endpointRef: { name: 'other' } }],
    ] as const) {
      const { code, output } = await tryKubectl(controlPlane, ['patch', kind, 'fixed', '--type=merge', '-p', JSON.stringify({ spec })]);
      assert.equal(code, 1);
      assert.match(output, /is immutable: delete the object and create it anew/);
    }
    assert.equal((await tryKubectl(controlPlane, ['patch', 'sftpu', 'fixed', '--type=merge', '-p', '{"spec":{"suspend":true}}'])).code, 0);
  });

  it('write no defaults, and show what kubectl get and explain need', async () => {
    assert.equal((await tryKubectl(controlPlane, ['apply', '-f', '-'], JSON.stringify(manifest('SftpEndpoint', { service: {} }, 'main')))).code, 0);
    assert.equal((await tryKubectl(controlPlane, ['get', 'sftpep', 'main', '-o', 'jsonpath={.spec.service}'])).output, '{}');
    const status = {
      conditions: [{ type: 'Ready', status: 'True', reason: 'Ready', message: 'ready', lastTransitionTime: '2026-01-01T00:00:00Z', observedGeneration: 1 }],
    };
    const patched = await tryKubectl(controlPlane, ['patch', 'sftpep', 'main', '--subresource=status', '--type=merge', '-p', JSON.stringify({ status })]);
    assert.equal(patched.code, 0, patched.output);
    assert.match((await tryKubectl(controlPlane, ['get', 'skiff'])).output, /sftpendpoint\.skiff\.dev\/main +True +Ready/);
    assert.match((await tryKubectl(controlPlane, ['explain', 'sftpendpoint.spec.service.port'])).output, /TCP port that partners connect to\. Default: 22\./);
  });
});
