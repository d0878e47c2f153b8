import assert from 'node:assert/strict';
import { parseResource } from '@skiff/model/parse-resource';
import { translateEndpoint } from '../translate/endpoint.ts';
import { planWorkloads, type WorkloadManifest } from '../workloads/plan-workloads.ts';
import type { WorkloadContext } from '../workloads/workload-context.ts';

const CONTEXT: WorkloadContext = {
  image: 'registry.example/skiff:1.2.3',
  imagePullPolicy: 'IfNotPresent',
  imagePullSecrets: [],
  logLevel: 'info',
  database: { kind: 'url', url: 'mysql://skiff@database.example:3306/skiff' },
  identity: { clientId: undefined, tenantId: undefined },
  authorityHost: undefined,
  certificates: { database: undefined, trusted: undefined },
  environment: {},
  fsGroup: 65532,
};

/** An endpoint, and what its operator has been told and found. */
export interface PlanInput {
  readonly metadata: object;
  readonly spec: object;
  readonly context?: Partial<WorkloadContext>;
  readonly currentReplicas?: number;
}

/** The workloads of an endpoint that the API server would admit. */
export function planInput({ metadata, spec, context, currentReplicas }: PlanInput): readonly WorkloadManifest[] {
  const serverSide = { uid: 'a-uid', generation: 3, creationTimestamp: '2026-01-01T00:00:00Z' };
  const parsed = parseResource({ apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpEndpoint', metadata: { ...serverSide, ...metadata }, spec });
  assert.ok(parsed.ok && parsed.resource.kind === 'SftpEndpoint', parsed.ok ? '' : parsed.errors.join('\n'));
  const { resource } = parsed;
  const { settings } = translateEndpoint(resource);
  assert.ok(settings);
  const { namespace, name, uid } = resource.metadata;
  return planWorkloads({ owner: { namespace, name, uid }, spec: resource.spec, settings, context: { ...CONTEXT, ...context }, currentReplicas });
}
