import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse as parseYaml, stringify } from 'yaml';
import { readValues } from '../../tools/chart.ts';
import { CHART, findHelm, lint, type Manifest, parse, render } from './render.ts';

const GOLDEN = join(import.meta.dirname, 'golden');
const DATABASE = ['--set', 'database.urlSecret.name=skiff-database'];
const NAMESPACES = ['--set', 'namespaces.endpoints={sftp}', '--set', 'namespaces.secrets={team-a,team-b}'];
const found = findHelm();
if (found === undefined) throw new Error('there is no helm: run test/cluster/kube-up.sh build control-plane');
const helm: string = found;
const isHook = ({ metadata }: Manifest): boolean => metadata.annotations?.['helm.sh/hook'] !== undefined;
const isWorkload = ({ kind }: Manifest): boolean => kind !== 'CustomResourceDefinition';

/** Compares with the golden file; `SKIFF_UPDATE_GOLDEN=1` writes it. */
function assertGolden(name: string, manifests: readonly Manifest[]): void {
  const path = join(GOLDEN, `${name}.yaml`);
  const actual = manifests.map((manifest) => stringify(manifest, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n');
  if (process.env.SKIFF_UPDATE_GOLDEN === '1') writeFileSync(path, actual);
  assert.equal(actual, readFileSync(path, 'utf8'), `${name}: intended? SKIFF_UPDATE_GOLDEN=1 writes it anew`);
}

describe('the chart', () => {
  it('renders what the golden files hold, for each kind of platform', async () => {
    assertGolden('default', parse(await render(helm, [...DATABASE, ...NAMESPACES])).filter(isWorkload));
    assertGolden('smoke-test', parse(await render(helm, [...DATABASE, '--set', 'test.endpoint=sftp/partners'])).filter(isHook));
    const identity = ['--set', 'identity.clientId=11111111-1111-1111-1111-111111111111', '--set', 'identity.tenantId=22222222-2222-2222-2222-222222222222'];
    for (const [platform, values] of [
      ['aks', identity],
      ['openshift', []],
      ['onprem', []],
    ] as const) {
      const rendered = await render(helm, ['-f', join(CHART, `values-${platform}.yaml`), '--set', 'namespaces.endpoints={sftp}', ...values]);
      assertGolden(platform, parse(rendered).filter(isWorkload));
    }
  });

  it('passes helm lint with each set of values', async () => {
    await lint(helm, DATABASE);
    for (const platform of ['aks', 'openshift', 'onprem']) await lint(helm, ['-f', join(CHART, `values-${platform}.yaml`)]);
  });

  it('grants no verb, resource or group by asterisk', async () => {
    const rules = parse(await render(helm, [...DATABASE, ...NAMESPACES])).flatMap((manifest) => manifest.rules ?? []);
    assert.ok(rules.length > 0);
    assert.ok(!JSON.stringify(rules).includes('*'));
  });

  it('grants Secrets only through RoleBindings in the listed namespaces', async () => {
    const manifests = parse(await render(helm, [...DATABASE, ...NAMESPACES]));
    const readers = manifests.filter(({ kind, rules = [] }) => kind === 'ClusterRole' && rules.some(({ resources }) => resources.includes('secrets')));
    assert.deepEqual(readers.map(({ metadata }) => metadata.name).sort(), ['skiff-endpoint-namespace', 'skiff-secret-reader']);
    const cluster = manifests.filter(({ kind }) => kind === 'ClusterRoleBinding');
    assert.deepEqual(
      cluster.map((binding) => roleOf(binding)),
      ['skiff-operator'],
    );
    const bound = manifests.filter((manifest) => manifest.kind === 'RoleBinding' && readers.some(({ metadata }) => metadata.name === roleOf(manifest)));
    assert.deepEqual(bound.map(({ metadata }) => metadata.namespace).sort(), ['sftp', 'team-a', 'team-b']);
  });

  it('holds no Secret and no password', async () => {
    const manifests = parse(await render(helm, [...DATABASE, ...NAMESPACES]));
    assert.ok(manifests.every(({ kind }) => kind !== 'Secret'));
  });

  it('refuses a misspelt key at every level', async () => {
    for (const path of objectsOf(JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')), '')) {
      await assert.rejects(render(helm, [...DATABASE, '--set', `${path}mispelt=x`]), /additional properties 'mispelt' not allowed/, path);
    }
  });

  it('says what to do when the database is not named', async () => {
    await assert.rejects(render(helm), /database\.urlSecret\.name is required: .*kubectl create secret/);
  });

  it('monitors operator and endpoints, and alerts, as the golden file holds', async () => {
    const monitoring = ['PodMonitor', 'PrometheusRule'].flatMap((kind) => ['--api-versions', `monitoring.coreos.com/v1/${kind}`]);
    const labels = ['--set', 'metrics.prometheusRule.labels.release=prometheus'];
    const manifests = parse(await render(helm, [...DATABASE, ...NAMESPACES, ...monitoring, ...labels]));
    assertGolden(
      'monitoring',
      manifests.filter(({ kind }) => kind === 'PodMonitor' || kind === 'PrometheusRule'),
    );
    const off = ['--set', 'metrics.prometheusRule.enabled=false'];
    assert.ok(!(await render(helm, [...DATABASE, ...monitoring, ...off])).includes('PrometheusRule'));
    assert.ok(!(await render(helm, DATABASE)).includes('PrometheusRule'));
    // Without namespaces of endpoints there is nobody to ask but the operator.
    const alone = parse(await render(helm, [...DATABASE, ...monitoring])).filter(({ kind }) => kind === 'PodMonitor');
    assert.deepEqual(
      alone.map(({ metadata }) => metadata.name),
      ['skiff-operator'],
    );
  });

  it('alerts on metrics that the program has', async () => {
    const rendered = await render(helm, [...DATABASE, '--api-versions', 'monitoring.coreos.com/v1/PrometheusRule']);
    const asked = new Set(rendered.match(/\bskiff_[a-z_]+/g));
    assert.ok(asked.size >= 7, [...asked].join());
    const packages = join(CHART, '../../packages');
    const sources = readdirSync(packages, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.includes('node_modules'),
    );
    const known = sources.map((name) => readFileSync(join(packages, name), 'utf8')).join('\n');
    for (const name of asked) assert.ok(known.includes(`name: '${name}'`), name);
  });

  it('lists its alerts in its README, each with its severity', async () => {
    const rendered = parse(await render(helm, [...DATABASE, '--api-versions', 'monitoring.coreos.com/v1/PrometheusRule']));
    const rules = JSON.stringify(rendered.filter(({ kind }) => kind === 'PrometheusRule'));
    const made = [...rules.matchAll(/"alert":"(\w+)".*?"severity":"(\w+)"/g)].map(([, alert, severity]) => `${alert} ${severity}`);
    const listed = [...readFileSync(join(CHART, 'README.md'), 'utf8').matchAll(/^\| `(Skiff\w+)` *\| (\w+) /gm)].map(
      ([, alert, severity]) => `${alert} ${severity}`,
    );
    assert.ok(made.length >= 7);
    assert.deepEqual(listed, made);
  });

  it('makes a PodMonitor only where the cluster knows that kind', async () => {
    const kinds = (rendered: string): readonly string[] => parse(rendered).map(({ kind }) => kind);
    assert.ok(!kinds(await render(helm, DATABASE)).includes('PodMonitor'));
    assert.ok(kinds(await render(helm, [...DATABASE, '--api-versions', 'monitoring.coreos.com/v1/PodMonitor'])).includes('PodMonitor'));
  });

  it('installs the CRDs of crds/ as they are, to be kept at uninstall', async () => {
    const crds = parse(await render(helm, DATABASE)).filter(({ kind }) => kind === 'CustomResourceDefinition');
    const folder = join(CHART, '../../crds');
    for (const name of readdirSync(folder)) {
      const own = parse(readFileSync(join(folder, name), 'utf8'))[0];
      const installed = crds.find(({ metadata }) => metadata.name === own?.metadata.name);
      assert.equal(installed?.metadata.annotations?.['helm.sh/resource-policy'], 'keep', name);
      assert.deepEqual(installed?.spec, own?.spec, name);
    }
    assert.ok(!(await render(helm, [...DATABASE, '--set', 'crds.install=false'])).includes('CustomResourceDefinition'));
  });
});

describe('the values', () => {
  it('are all in the schema, which knows no others', () => {
    const schema: unknown = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8'));
    const values = readValues(readFileSync(join(CHART, 'values.yaml'), 'utf8')).map(({ path }) => path);
    assert.deepEqual(
      leavesOf(schema, '')
        .filter((path) => path !== 'global')
        .sort(),
      [...values].sort(),
    );
  });

  it('are each used by a template', () => {
    const templates = readdirSync(join(CHART, 'templates'), { recursive: true, encoding: 'utf8' }).filter((name) => /\.\w+$/.test(name));
    const text = templates.map((name) => readFileSync(join(CHART, 'templates', name), 'utf8')).join('\n');
    for (const { path } of readValues(readFileSync(join(CHART, 'values.yaml'), 'utf8'))) assert.match(text, new RegExp(`\\.Values\\.${path}\\b`), path);
  });

  it('that are ready-made for platforms name only known keys', () => {
    const known = readValues(readFileSync(join(CHART, 'values.yaml'), 'utf8')).map(({ path }) => path);
    for (const platform of ['aks', 'openshift', 'onprem']) {
      const given: unknown = parseYaml(readFileSync(join(CHART, `values-${platform}.yaml`), 'utf8'));
      for (const path of pathsOf(given, ''))
        assert.ok(
          known.some((value) => path === value || path.startsWith(`${value}.`)),
          `${platform}: ${path}`,
        );
    }
  });
});

function roleOf(binding: Manifest): string {
  const { roleRef } = binding;
  return typeof roleRef === 'object' && roleRef !== null && 'name' in roleRef ? String(roleRef.name) : '';
}

function propertiesOf(schema: unknown): readonly (readonly [string, unknown])[] {
  if (typeof schema !== 'object' || schema === null || !('properties' in schema)) return [];
  return Object.entries(Object(schema.properties));
}

/** Prefixes of the objects whose keys are closed: `''`, `image.`, … */
function objectsOf(schema: unknown, prefix: string): readonly string[] {
  const properties = propertiesOf(schema);
  return properties.length === 0 ? [] : [prefix, ...properties.flatMap(([name, inner]) => objectsOf(inner, `${prefix}${name}.`))];
}

function leavesOf(schema: unknown, prefix: string): readonly string[] {
  return propertiesOf(schema).flatMap(([name, inner]) => {
    const path = `${prefix}${name}`;
    return propertiesOf(inner).length === 0 ? [path] : leavesOf(inner, `${path}.`);
  });
}

function pathsOf(value: unknown, prefix: string): readonly string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [prefix.replace(/\.$/, '')];
  return Object.entries(value).flatMap(([name, inner]) => pathsOf(inner, `${prefix}${name}.`));
}
