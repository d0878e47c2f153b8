import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { ResourceRepository } from '@skiff/database/resource-rows';
import {
  ConfigMaps,
  Deployments,
  EventRoutes,
  HorizontalPodAutoscalers,
  NetworkPolicies,
  PodDisruptionBudgets,
  Secrets,
  ServiceAccounts,
  Services,
  SftpEndpoints,
  SftpUsers,
} from '@skiff/kube/resource-type';
import { isRecord } from '@skiff/model/is-record';
import type { SkiffProcess } from '../support/skiff-process.ts';
import { conditionOf } from './conditions.ts';
import { endpointManifest, HASH } from './manifests.ts';
import { OperatorRig } from './operator-rig.ts';
import { playKubelet } from './play-kubelet.ts';
import { until } from './until.ts';

const QUICKSTART = join(import.meta.dirname, '..', '..', 'deploy', 'quickstart');

describe('an endpoint on a Kubernetes API', () => {
  let rig: OperatorRig;
  let operator: SkiffProcess;
  let rows: ResourceRepository;

  before(async () => {
    rig = await OperatorRig.start({ endpointNamespaces: ['default', 'shop'] });
    rows = createResourceRepository(rig.database.database);
    operator = await rig.startOperator('operator-0');
    await operator.waitFor('leadership', (line) => line.msg === 'leading');
  });
  after(() => rig?.[Symbol.asyncDispose]());

  const ready = (type: typeof SftpUsers, name: string, namespace = 'default') => rig.condition(type, name, 'Ready', namespace);

  it('makes of the quickstart everything that an endpoint consists of, and rows', async () => {
    await rig.kubectl(['apply', '-f', QUICKSTART]);
    await until('alice', 'True Ready', () => ready(SftpUsers, 'alice'));
    await until('bob, whose hash is in a Secret', 'True Ready', () => ready(SftpUsers, 'bob'));
    await until('the endpoint waits for its pods', 'Unknown Pending', () => ready(SftpEndpoints, 'partners'));
    for (const [type, names] of [
      [ConfigMaps, ['skiff-partners']],
      [ServiceAccounts, ['skiff-partners']],
      [Services, ['skiff-partners']],
      [Deployments, ['skiff-partners', 'skiff-partners-router']],
      [PodDisruptionBudgets, ['skiff-partners', 'skiff-partners-router']],
      [NetworkPolicies, ['skiff-partners', 'skiff-partners-router']],
      [Secrets, ['skiff-partners-host-keys']],
    ] as const)
      for (const name of names) assert.ok(await rig.get(type, name), `${type.kind} ${name}`);
    const id = await rows.endpointId('default', 'partners');
    assert.deepEqual((await rows.users(id)).map(({ username }) => username).sort(), ['alice', 'bob']);
    assert.equal((await rows.findUser(id, 'bob'))?.passwordHash, HASH);
    assert.deepEqual(
      (await rows.routes(id)).map(({ name }) => name),
      ['file-inbox'],
    );
  });

  it('is ready when pods serve and the load balancer has an address, which the status shows', async () => {
    await playKubelet(rig.client, ['default']);
    const ms = await until('the endpoint', 'True Ready', () => ready(SftpEndpoints, 'partners'), 60_000);
    const found = await rig.get(SftpEndpoints, 'partners');
    assert.equal(isRecord(found?.status) ? found.status.address : undefined, '192.0.2.10');
    assert.match(await rig.kubectl(['get', 'sftpep', 'partners']), /192\.0\.2\.10 +True +Ready/);
    console.log(`ready ${ms} ms after the pods`);
  });

  // Through a resync: scenarios/steady-state.ts.
  it('writes nothing while nothing changes', async () => {
    await sleep(3_000);
    const id = await rows.endpointId('default', 'partners');
    const before = [await rig.apiWrites(), await rows.revision(id)];
    await sleep(5_000);
    assert.deepEqual([await rig.apiWrites(), await rows.revision(id)], before);
  });

  it('writes nothing when its successor looks at everything anew', async () => {
    const id = await rows.endpointId('default', 'partners');
    const before = [await rig.apiWrites(), await rows.revision(id)];
    assert.equal(await operator.stop(), 0);
    operator = await rig.startOperator('operator-1');
    await operator.waitFor('leadership', (line) => line.msg === 'leading');
    await sleep(4_000);
    assert.deepEqual([await rig.apiWrites(), await rows.revision(id)], before);
  });

  it('undoes what others change, put back what they delete, and leaves host keys alone', async () => {
    const keysBefore = (await rig.get(Secrets, 'skiff-partners-host-keys'))?.metadata.resourceVersion;
    const port = async () => String(await rig.kubectl(['get', 'service', 'skiff-partners', '-o', 'jsonpath={.spec.ports[0].port}']));
    await rig.kubectl(['patch', 'service', 'skiff-partners', '--type=json', '-p', '[{"op":"replace","path":"/spec/ports/0/port","value":2022}]']);
    const changedMs = await until('the port', '2222', port);
    await rig.kubectl(['delete', 'configmap', 'skiff-partners']);
    const deletedMs = await until('the ConfigMap', true, async () => (await rig.get(ConfigMaps, 'skiff-partners')) !== undefined);
    await rig.kubectl(['scale', 'deployment', 'skiff-partners', '--replicas=7']);
    const scaledMs = await until('replicas', '2', async () => await rig.kubectl(['get', 'deployment', 'skiff-partners', '-o', 'jsonpath={.spec.replicas}']));
    assert.equal((await rig.get(Secrets, 'skiff-partners-host-keys'))?.metadata.resourceVersion, keysBefore);
    console.log(`repaired: a change in ${changedMs} ms, a deletion in ${deletedMs} ms, a scaling in ${scaledMs} ms`);
  });

  it('rolls no pod for what a running server takes over', async () => {
    const template = async () => await rig.kubectl(['get', 'deployment', 'skiff-partners', '-o', 'jsonpath={.metadata.generation}']);
    const before = await template();
    await rig.kubectl(['patch', 'sftpep', 'partners', '--type=merge', '-p', '{"spec":{"limits":{"maxSessions":77}}}']);
    await until('the settings', true, async () => JSON.stringify((await rig.get(ConfigMaps, 'skiff-partners'))?.data).includes('77'));
    await sleep(1_000);
    assert.equal(await template(), before);
  });

  it('adds an autoscaler and takes it away again', async () => {
    await rig.kubectl(['patch', 'sftpep', 'partners', '--type=merge', '-p', '{"spec":{"autoscaling":{"minReplicas":3,"maxReplicas":6}}}']);
    await until('the autoscaler', true, async () => (await rig.get(HorizontalPodAutoscalers, 'skiff-partners')) !== undefined);
    await until('replicas', '3', async () => await rig.kubectl(['get', 'deployment', 'skiff-partners', '-o', 'jsonpath={.spec.replicas}']));
    await rig.kubectl(['patch', 'sftpep', 'partners', '--type=json', '-p', '[{"op":"remove","path":"/spec/autoscaling"}]']);
    await until('no autoscaler', undefined, () => rig.get(HorizontalPodAutoscalers, 'skiff-partners'));
  });

  it('gathers the secrets of routes for the routers, follows their changes, and takes them away with the route', async () => {
    const gathered = async () => {
      const data = (await rig.get(Secrets, 'skiff-partners-route-secrets'))?.data;
      const value = isRecord(data) ? data['default_app-token_token'] : undefined;
      return typeof value === 'string' ? Buffer.from(value, 'base64').toString() : '';
    };
    const http = { url: 'https://app.example/files', authentication: { bearer: { tokenSecretRef: { name: 'app-token', key: 'token' } } } };
    const spec = { endpointRef: { name: 'partners' }, targets: [{ name: 'app', http }] };
    await rig.apply({ apiVersion: 'skiff.dev/v1alpha1', kind: 'EventRoute', metadata: { name: 'signed', namespace: 'default' }, spec });
    await until('no Secret', 'False SecretNotFound', () => rig.condition(EventRoutes, 'signed', 'Ready'));
    await rig.kubectl(['create', 'secret', 'generic', 'app-token', '--from-literal=token=one', '--from-literal=other=two']);
    await until('the token', 'one', gathered);
    await rig.kubectl(['patch', 'secret', 'app-token', '--type=merge', '-p', '{"stringData":{"token":"three"}}']);
    await until('the new token', 'three', gathered);
    assert.ok(!JSON.stringify((await rig.get(Secrets, 'skiff-partners-route-secrets'))?.data).includes('other'));
    await rig.kubectl(['delete', 'evr', 'signed']);
    await until('nothing', undefined, () => rig.get(Secrets, 'skiff-partners-route-secrets'), 70_000);
  });

  it('runs no endpoint where it may not, and says what to run', async () => {
    await rig.kubectl(['create', 'namespace', 'closed']);
    await rig.apply(endpointManifest('closed', 'main'));
    await until('no access', 'False NamespaceAccessNotGranted', () => ready(SftpEndpoints, 'main', 'closed'));
    const hint = /run: kubectl (create rolebinding .*)$/.exec(conditionOf(await rig.get(SftpEndpoints, 'main', 'closed'), 'Ready')?.message ?? '')?.[1];
    assert.ok(hint);
    await rig.kubectl(hint.split(' '));
    await until('access', 'Unknown Pending', () => ready(SftpEndpoints, 'main', 'closed'), 40_000);
    assert.ok(await rig.get(Deployments, 'skiff-main', 'closed'));
  });

  it('fights nobody for an object of the same name, and goes on when it is out of the way', async () => {
    const theirs = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'skiff-late', namespace: 'shop' }, data: { mine: 'yes' } };
    await rig.apply(theirs, endpointManifest('shop', 'late', { service: { type: 'ClusterIP' } }));
    await until('the conflict', 'False NameConflict', () => ready(SftpEndpoints, 'late', 'shop'));
    assert.deepEqual((await rig.get(ConfigMaps, 'skiff-late', 'shop'))?.data, { mine: 'yes' });
    await rig.kubectl(['delete', 'configmap', 'skiff-late', '-n', 'shop']);
    await until('its own', true, async () => JSON.stringify((await rig.get(ConfigMaps, 'skiff-late', 'shop'))?.data ?? {}).includes('contoso'), 40_000);
  });

  it('ends an endpoint without touching its host keys, which a new one of that name gets again', async () => {
    const keys = async () => JSON.stringify((await rig.get(Secrets, 'skiff-late-host-keys', 'shop'))?.data);
    const before = await keys();
    await rig.kubectl(['delete', 'sftpep', 'late', '-n', 'shop']);
    const goneMs = await until('everything gone', true, async () => {
      const left = await Promise.all([
        rig.get(Deployments, 'skiff-late', 'shop'),
        rig.get(Services, 'skiff-late', 'shop'),
        rig.get(ConfigMaps, 'skiff-late', 'shop'),
      ]);
      return left.every((object) => object === undefined);
    });
    assert.equal(await keys(), before);
    await rig.apply(endpointManifest('shop', 'late', { service: { type: 'ClusterIP' } }));
    await until('it runs again', true, async () => (await rig.get(Deployments, 'skiff-late', 'shop')) !== undefined, 40_000);
    assert.equal(await keys(), before);
    console.log(`everything of an endpoint was gone after ${goneMs} ms`);
  });

  it('adopts what was its own before, and hands nobody the right to the API', async () => {
    await rig.kubectl(['delete', 'sftpep', 'partners', '--cascade=orphan']);
    await sleep(2_000);
    const left = await rig.get(Deployments, 'skiff-partners');
    assert.ok(left, 'orphaned objects stay');
    await rig.kubectl(['apply', '-f', join(QUICKSTART, 'endpoint.yaml')]);
    await until('the endpoint', true, async () => (await ready(SftpEndpoints, 'partners')) !== '');
    await until(
      'the owner',
      (await rig.get(SftpEndpoints, 'partners'))?.metadata.uid,
      async () => (await rig.get(Deployments, 'skiff-partners'))?.metadata.ownerReferences?.[0]?.uid,
    );
    assert.equal((await rig.get(Deployments, 'skiff-partners'))?.metadata.uid, left.metadata.uid);
    const template = JSON.parse(await rig.kubectl(['get', 'deployment', 'skiff-partners', '-o', 'jsonpath={.spec.template.spec}']));
    assert.equal(template.automountServiceAccountToken, false);
  });

  it('puts pods into the Pod Security Standard restricted', async () => {
    await rig.kubectl(['create', 'namespace', 'strict']);
    await rig.kubectl(['label', 'namespace', 'strict', 'pod-security.kubernetes.io/enforce=restricted']);
    const template = await rig.kubectl(['get', 'deployment', 'skiff-partners', '-o', 'json']);
    const { metadata, spec } = JSON.parse(template).spec.template;
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, name: 'probe', namespace: 'strict' },
      spec: { ...spec, serviceAccountName: 'default' },
    };
    const { code, output } = await rig.tryKubectl(['create', '--dry-run=server', '-f', '-'], JSON.stringify(pod));
    assert.equal(code, 0, output);
  });

  it('logged no password, hash or key', () => {
    const log = operator.lines.map((line) => JSON.stringify(line)).join('\n');
    assert.ok(!log.includes('argon2id$v') && !log.includes('PRIVATE KEY'));
  });
});
