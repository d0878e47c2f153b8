import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import { kubectl, untilEstablished } from '../cluster/kubectl.ts';
import { CHART, findHelm, render } from './render.ts';

const TIMEOUT_MS = 60_000;
const ROOT = join(import.meta.dirname, '../..');
const DATABASE = ['--set', 'database.urlSecret.name=skiff-database'];
const PEM = '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n';
const ID = '11111111-1111-1111-1111-111111111111';
const EVERYTHING = [
  ...['--set', 'namespaces.endpoints={sftp}', '--set', 'namespaces.secrets={team-a}', '--set', 'test.endpoint=sftp/partners'],
  ...['--set', `trustedCertificates=${PEM}`, '--set', `database.ca=${PEM}`, '--set', `identity.clientId=${ID}`, '--set', `identity.tenantId=${ID}`],
  ...['--set', 'pods.pullSecrets={pull}', '--set', 'image.pullSecrets={pull}', '--set', 'operator.nodeSelector.disk=ssd'],
  ...['--set', 'operator.priorityClassName=system-cluster-critical', '--set', 'operator.podLabels.team=a', '--set', 'operator.podAnnotations.team=a'],
];
const found = findHelm();
if (found === undefined) throw new Error('there is no helm: run test/cluster/kube-up.sh build control-plane');
const helm: string = found;

let plane: ControlPlane;
before(async () => {
  plane = await startControlPlane();
  for (const name of ['skiff-system', 'sftp', 'team-a']) await kubectl(plane, ['create', 'namespace', name]);
  await kubectl(plane, ['label', 'namespace', 'skiff-system', 'pod-security.kubernetes.io/enforce=restricted']);
  // A pod's account must be there; the hook's comes before its pod.
  await kubectl(plane, ['-n', 'skiff-system', 'create', 'serviceaccount', 'skiff-smoke-test']);
});
after(() => plane?.stop());

/** As the API server would store it: unknown and doubled fields are errors, and so is whatever its validation finds. */
const check = (manifests: string): Promise<string> => kubectl(plane, ['apply', '--dry-run=server', '--validate=strict', '-f', '-'], manifests);

describe('a real API server, strictly,', () => {
  it('takes the CRDs', async () => {
    for (const name of readdirSync(join(ROOT, 'crds')))
      await kubectl(plane, ['apply', '--validate=strict', '-f', '-'], readFileSync(join(ROOT, 'crds', name), 'utf8'));
    await untilEstablished(plane);
  });

  it('takes the chart with each set of values', async () => {
    const platforms = readdirSync(CHART).filter((name) => /^values-.*\.yaml$/.test(name));
    assert.ok(platforms.length >= 3);
    for (const values of [DATABASE, [...DATABASE, ...EVERYTHING], ...platforms.map((name) => ['-f', join(CHART, name), ...EVERYTHING])])
      await check(await render(helm, values));
  });

  it('is told by helm what comes next, in the words of the README', async () => {
    const notes = async (...values: readonly string[]): Promise<string> => {
      const args = ['install', 'skiff', CHART, '-n', 'skiff-system', '--kubeconfig', plane.kubeconfigPath, '--dry-run=server', '--set', 'crds.install=false'];
      const { stdout } = await promisify(execFile)(helm, [...args, ...DATABASE, ...values], { timeout: TIMEOUT_MS });
      return /^NOTES:\n([\s\S]*)/m.exec(stdout)?.[1] ?? '';
    };
    assert.match(await notes(), /until then none can start:\n +helm upgrade skiff .* --reset-then-reuse-values --set/);
    const complete = await notes('--set', 'namespaces.endpoints={sftp}', '--set', 'test.endpoint=sftp/partners');
    assert.match(complete, /Endpoints may live in: sftp\n/);
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    for (const command of ['kubectl apply -f deploy/quickstart/', 'kubectl wait --for=condition=Ready sftpendpoint/partners --timeout=120s']) {
      assert.ok(complete.includes(command) && readme.includes(command), command);
    }
  });

  it('takes the quickstart', async () => {
    const folder = join(ROOT, 'deploy/quickstart');
    for (const name of readdirSync(folder)) await check(readFileSync(join(folder, name), 'utf8'));
  });

  it('refuses a field that does not exist, so that the tests above can fail', async () => {
    const rendered = await render(helm, DATABASE);
    await assert.rejects(check(rendered.replace('automountServiceAccountToken:', 'automountToken:')), /strict decoding error: unknown field "automountToken"/);
    const route = readFileSync(join(ROOT, 'deploy/quickstart/route.yaml'), 'utf8');
    await assert.rejects(check(route.replace('targets:', 'target:')), /unknown field "spec.target"/);
  });
});
