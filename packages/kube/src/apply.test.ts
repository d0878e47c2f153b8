import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Applier } from './apply.ts';
import { canonicalJson } from './canonical.ts';
import type { Manifest } from './kube-client.ts';
import { isKubeObject, type KubeObject } from './kube-object.ts';
import { project } from './projection.ts';
import { ConfigMaps, Deployments } from './resource-type.ts';
import { mergeApplied } from './testing/merge-applied.ts';

const options = { signal: new AbortController().signal };

/** Applies to one object; `normalise` is what the server makes of it. */
function applierOver(normalise: (object: KubeObject) => KubeObject = (object) => object) {
  const world: { object: KubeObject | undefined; writes: number } = { object: undefined, writes: 0 };
  const apply = async (_: unknown, manifest: Manifest) => {
    world.writes++;
    const merged = mergeApplied(world.object, manifest);
    assert.ok(isKubeObject(merged));
    world.object = normalise(merged);
    return world.object;
  };
  return { world, client: { apply, applyStatus: apply } };
}

const desired: Manifest = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { namespace: 'a', name: 'one', labels: { app: 'skiff' } },
  spec: {
    replicas: 2,
    template: {
      spec: {
        containers: [{ name: 'main', image: 'x', args: ['a', 'b'], env: [], resources: { limits: { cpu: '1000m' } }, ports: [{ containerPort: 22 }] }],
      },
    },
  },
};

function withServerFields(object: KubeObject): KubeObject {
  const text = JSON.stringify(object).replace('"1000m"', '"1"').replace('"env":[],', '').replace('"containerPort":22', '"containerPort":22,"protocol":"TCP"');
  const parsed: unknown = JSON.parse(text);
  assert.ok(isKubeObject(parsed));
  return { ...parsed, status: { replicas: 2 }, metadata: { ...parsed.metadata, uid: 'u', resourceVersion: '7', managedFields: [] } };
}

describe('apply', () => {
  it('writes once, then nothing while nothing differs, whatever the server adds and normalises', async () => {
    const { world, client } = applierOver(withServerFields);
    const applier = new Applier(client);
    for (let i = 0; i < 10; i++) await applier.apply({ type: Deployments, desired, actual: world.object }, options);
    assert.equal(world.writes, 1);
    // The status changes, and with it the resource version: still none of our business.
    const { object } = world;
    assert.ok(object !== undefined);
    const moved = { ...object, status: { replicas: 1 }, metadata: { ...object.metadata, resourceVersion: '8' } };
    assert.equal((await applier.apply({ type: Deployments, desired, actual: moved }, options)).written, false);
  });

  it('asks the server at most once more after a restart', async () => {
    const { world, client } = applierOver(withServerFields);
    await new Applier(client).apply({ type: Deployments, desired, actual: undefined }, options);
    const next = new Applier(client);
    for (let i = 0; i < 10; i++) await next.apply({ type: Deployments, desired, actual: world.object }, options);
    assert.equal(world.writes, 2);
  });

  const drifts: Readonly<Record<string, readonly [string, string]>> = {
    'a changed number': ['"replicas":2,"template"', '"replicas":5,"template"'],
    'a changed normalised value': ['"cpu":"1"', '"cpu":"2"'],
    'a longer list of plain values': ['["a","b"]', '["a","b","c"]'],
    'a removed label': ['"app":"skiff"', '"other":"x"'],
    'a removed list item': ['"name":"main"', '"name":"other"'],
  };
  for (const [name, [from, to]] of Object.entries(drifts)) {
    it(`repairs ${name}`, async () => {
      const { world, client } = applierOver(withServerFields);
      const applier = new Applier(client);
      await applier.apply({ type: Deployments, desired, actual: undefined }, options);
      const text = JSON.stringify(world.object);
      assert.ok(text.includes(from), text);
      const drifted: unknown = JSON.parse(text.replace(from, to));
      assert.ok(isKubeObject(drifted));
      assert.equal((await applier.apply({ type: Deployments, desired, actual: drifted }, options)).written, true);
    });
  }

  it('lets labels, annotations and list items of others be', async () => {
    const { world, client } = applierOver();
    const applier = new Applier(client);
    const { object } = await applier.apply({ type: Deployments, desired, actual: world.object }, options);
    const others = {
      ...object,
      metadata: { ...object.metadata, labels: { app: 'skiff', theirs: 'x' }, annotations: { ...object.metadata.annotations, theirs: 'y' } },
    };
    assert.equal((await applier.apply({ type: Deployments, desired, actual: others }, options)).written, false);
  });

  it('writes when a field has vanished from the desired state', async () => {
    const { world, client } = applierOver();
    const applier = new Applier(client);
    const full = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'a', name: 'one' }, data: { a: '1', b: '2' } };
    await applier.apply({ type: ConfigMaps, desired: full, actual: undefined }, options);
    assert.equal((await applier.apply({ type: ConfigMaps, desired: { ...full, data: { a: '1' } }, actual: world.object }, options)).written, true);
  });

  it('writes a status only when it differs', async () => {
    const { world, client } = applierOver();
    const applier = new Applier(client);
    const status = (message: string) => ({
      apiVersion: 'v1',
      kind: 'X',
      metadata: { namespace: 'a', name: 'one' },
      status: { conditions: [{ type: 'Ready', message }] },
    });
    for (const message of ['a', 'a', 'b', 'b', 'b']) await applier.applyStatus({ type: ConfigMaps, desired: status(message), actual: world.object }, options);
    assert.equal(world.writes, 2);
  });

  it('a value projected on itself is itself, and what others add falls away', () => {
    const json = fc.jsonValue().map((value): unknown => JSON.parse(JSON.stringify(value)));
    fc.assert(fc.property(json, (value) => canonicalJson(project(value, value)) === canonicalJson(value)));
    const record = fc.dictionary(fc.stringMatching(/^[a-m]{1,3}$/), json);
    const added = fc.dictionary(fc.stringMatching(/^[n-z]{1,3}$/), json);
    fc.assert(fc.property(record, added, (ours, theirs) => canonicalJson(project(ours, { ...theirs, ...ours })) === canonicalJson(ours)));
  });
});
