import { isRecord } from '@skiff/model/is-record';
import type { Manifest } from './kube-client.ts';
import type { KubeObject, ObjectRef } from './kube-object.ts';
import { Leases } from './resource-type.ts';

/** The part of a `coordination.k8s.io/v1` Lease that an election reads and writes. */
export interface LeaseRecord {
  /** Empty: released. */
  readonly holder: string;
  readonly durationMs: number;
  /** How often the lease went from one holder to another. */
  readonly transitions: number;
  readonly acquireTime: string | undefined;
  readonly renewTime: string | undefined;
  readonly resourceVersion: string | undefined;
}

export function parseLease(object: KubeObject): LeaseRecord {
  const spec = isRecord(object.spec) ? object.spec : {};
  return {
    holder: typeof spec.holderIdentity === 'string' ? spec.holderIdentity : '',
    durationMs: typeof spec.leaseDurationSeconds === 'number' ? spec.leaseDurationSeconds * 1000 : 0,
    transitions: typeof spec.leaseTransitions === 'number' ? spec.leaseTransitions : 0,
    acquireTime: typeof spec.acquireTime === 'string' ? spec.acquireTime : undefined,
    renewTime: typeof spec.renewTime === 'string' ? spec.renewTime : undefined,
    resourceVersion: object.metadata.resourceVersion,
  };
}

export function leaseManifest(ref: ObjectRef, record: LeaseRecord): Manifest {
  return {
    apiVersion: Leases.apiVersion,
    kind: Leases.kind,
    metadata: {
      name: ref.name,
      ...(ref.namespace === undefined ? {} : { namespace: ref.namespace }),
      ...(record.resourceVersion === undefined ? {} : { resourceVersion: record.resourceVersion }),
    },
    spec: {
      holderIdentity: record.holder,
      leaseDurationSeconds: Math.max(1, Math.ceil(record.durationMs / 1000)),
      leaseTransitions: record.transitions,
      acquireTime: record.acquireTime,
      renewTime: record.renewTime,
    },
  };
}

/** True when the holder gave a sign of life between the two readings. */
export function wasRenewed(before: LeaseRecord, after: LeaseRecord): boolean {
  return before.holder !== after.holder || before.renewTime !== after.renewTime || before.transitions !== after.transitions;
}

/** `metav1.MicroTime`: exactly six digits of fraction. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}
