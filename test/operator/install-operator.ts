import { join } from 'node:path';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { kubectl, untilEstablished } from '../cluster/kubectl.ts';
import { findHelm, render } from '../helm/render.ts';

const CRDS = join(import.meta.dirname, '..', '..', 'crds');

/** Where the operator would be installed, and its name there. */
export const INSTALLED = { namespace: 'skiff-system', serviceAccount: 'skiff' } as const;

/** Everything of an installation but the operator's Deployment: CRDs, the ServiceAccount and its rights by the chart. */
export async function installOperator(plane: ControlPlane, endpointNamespaces: readonly string[]): Promise<void> {
  const helm = findHelm();
  if (helm === undefined) throw new Error('there is no helm: run test/cluster/kube-up.sh build control-plane');
  for (const namespace of [INSTALLED.namespace, ...endpointNamespaces.filter((name) => name !== 'default')])
    await kubectl(plane, ['create', 'namespace', namespace]);
  await kubectl(plane, ['apply', '--server-side', '-f', CRDS]);
  await untilEstablished(plane);
  const values = ['--set', 'database.urlSecret.name=none', '--set', `namespaces.endpoints={${endpointNamespaces.join(',')}}`];
  const shown = ['--show-only', 'templates/rbac.yaml', '--show-only', 'templates/serviceaccount.yaml'];
  await kubectl(plane, ['apply', '-f', '-'], await render(helm, [...values, ...shown]));
}
