import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parseEndpointSettings } from '@skiff/model/endpoint-settings';
import { parse, stringify } from 'yaml';
import { type PlanInput, planInput } from '../testing/plan-input.ts';
import type { WorkloadManifest } from './plan-workloads.ts';
import { workloadName } from './workload-names.ts';

const folder = new URL('./golden/', import.meta.url);
const BUS = { namespace: 'contoso.servicebus.windows.net', queue: 'files' };
const BLOB = { storage: { azureBlob: { account: 'contoso', container: 'files' } } };
const at = (spec: object, more: Partial<PlanInput> = {}) => planInput({ metadata: { namespace: 'team', name: 'main' }, spec: { ...BLOB, ...spec }, ...more });
const find = (manifests: readonly WorkloadManifest[], kind: string): WorkloadManifest => {
  const found = manifests.find((candidate) => candidate.kind === kind);
  assert.ok(found, kind);
  return found;
};
const templateOf = (manifests: readonly WorkloadManifest[]): unknown => JSON.parse(JSON.stringify(find(manifests, 'Deployment').spec)).template;
const replicasOf = (manifests: readonly WorkloadManifest[]): unknown => JSON.parse(JSON.stringify(find(manifests, 'Deployment').spec)).replicas;

describe('planWorkloads', () => {
  for (const input of readdirSync(folder).filter((name) => name.endsWith('.in.yaml'))) {
    it(`makes of ${input} what its .out.yaml says`, () => {
      const actual = planInput(parse(readFileSync(new URL(input, folder), 'utf8')))
        .map((manifest) => stringify(manifest, { lineWidth: 0, aliasDuplicateObjects: false }))
        .join('---\n');
      const output = new URL(input.replace('.in.yaml', '.out.yaml'), folder);
      if (process.env.UPDATE_GOLDEN === '1') writeFileSync(output, actual);
      assert.ok(existsSync(output), 'no golden file: run once with UPDATE_GOLDEN=1 and read what it wrote');
      assert.equal(actual, readFileSync(output, 'utf8'));
    });
  }

  it('writes settings into the ConfigMap that a pod can read, with the port that it listens on', () => {
    const { data } = find(at({ service: { port: 22 } }), 'ConfigMap');
    const text = JSON.parse(JSON.stringify(data))['endpoint.json'];
    assert.equal(parseEndpointSettings(text).port, 2222);
  });

  it('rolls no pod for what a running server takes over, and rolls them for the rest', () => {
    const before = templateOf(at({ events: { serviceBus: BUS } }));
    for (const reloadable of [
      { allowedSourceRanges: ['192.0.2.0/24'] },
      { allowedSourceRanges: ['10.40.17.0/26'], service: { clientAddress: 'Rewritten' } },
      { limits: { maxSessions: 7 } },
      { events: { serviceBus: BUS, types: ['dev.skiff.login.failed'] } },
      { service: { port: 2022, type: 'ClusterIP' } },
      { replicas: 9 },
      { allowedUsers: { namespaces: { from: 'All' } } },
      { autoscaling: { maxReplicas: 4 } },
    ])
      assert.deepEqual(templateOf(at({ events: { serviceBus: BUS }, ...reloadable })), before, JSON.stringify(reloadable));
    for (const fixed of [
      { authentication: { methods: ['PublicKey'] } },
      { storage: { azureBlob: { account: 'contoso', container: 'others' } } },
      { drain: { graceSeconds: 5 } },
      { identity: { clientId: '00000000-0000-0000-0000-000000000001', tenantId: '00000000-0000-0000-0000-000000000002' } },
    ])
      assert.notDeepEqual(templateOf(at({ events: { serviceBus: BUS }, ...fixed })), before, JSON.stringify(fixed));
  });

  it("leaves an autoscaler's choice alone within its bounds", () => {
    const autoscaling = { minReplicas: 3, maxReplicas: 8 };
    assert.deepEqual(
      [undefined, 1, 5, 20].map((currentReplicas) => replicasOf(at({ autoscaling }, currentReplicas === undefined ? {} : { currentReplicas }))),
      [3, 3, 5, 8],
    );
    assert.equal(replicasOf(at({ replicas: 4 }, { currentReplicas: 9 })), 4);
  });

  it('says nothing of load balancers to a Service that has none', () => {
    const service = { type: 'ClusterIP', loadBalancerSourceRanges: ['192.0.2.1'], externalTrafficPolicy: 'Local' };
    assert.deepEqual(Object.keys(Object(find(at({ service }), 'Service').spec)), ['type', 'selector', 'ports']);
  });

  it('lets an installation add variables and overwrite none', () => {
    const environment = { HTTPS_PROXY: 'http://proxy:3128', SKIFF_LOG_LEVEL: 'silent' };
    const { env } = JSON.parse(JSON.stringify(templateOf(at({}, { context: { environment } })))).spec.containers[0];
    const values = (name: string): unknown[] =>
      env.filter((variable: { name: string }) => variable.name === name).map((variable: { value: string }) => variable.value);
    assert.deepEqual([values('HTTPS_PROXY'), values('SKIFF_LOG_LEVEL')], [['http://proxy:3128'], ['info']]);
  });
});

describe('workloadName', () => {
  it('gives names that a Service may have, one per endpoint', () => {
    const names = ['main', 'a.b', 'a-b', 'x'.repeat(253), `${'x'.repeat(252)}y`, '1'].map(workloadName);
    for (const name of names) assert.match(`${name}-route-secrets`, /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/);
    assert.equal(new Set(names).size, names.length);
    assert.equal(names[0], 'skiff-main');
  });
});
