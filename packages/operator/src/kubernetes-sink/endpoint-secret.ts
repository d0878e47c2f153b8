import { manifest, type WorkloadManifest } from '@skiff/policy/workload-manifest';
import type { Owner } from './ownership.ts';

/** A Secret that goes with its endpoint. */
export function endpointSecret(owner: Owner, name: string, values: Readonly<Record<string, string>>): WorkloadManifest {
  const data = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
  return manifest(owner, { apiVersion: 'v1', kind: 'Secret', name, component: 'endpoint' }, { type: 'Opaque', data });
}
