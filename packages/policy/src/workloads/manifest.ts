import { API_VERSION } from '@skiff/model/object-meta';
import { type Component, ENDPOINT_ANNOTATION, objectLabels } from './workload-names.ts';

export type Json = Readonly<Record<string, unknown>>;

/** An object as it is to be: everything that the operator decides, nothing else. */
export interface WorkloadManifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Json & { readonly name: string; readonly namespace: string };
  readonly [field: string]: unknown;
}

/** Whose objects they are. */
export interface WorkloadOwner {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export interface ManifestProps {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly component: Component | 'endpoint';
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The frame of every object: labels, the endpoint's name, and the owner reference by which Kubernetes collects it. */
export function manifest(owner: WorkloadOwner, props: ManifestProps, body: Json): WorkloadManifest {
  return {
    apiVersion: props.apiVersion,
    kind: props.kind,
    metadata: {
      name: props.name,
      namespace: owner.namespace,
      labels: objectLabels(owner.name, props.component),
      annotations: { ...props.annotations, [ENDPOINT_ANNOTATION]: owner.name },
      ownerReferences: [{ apiVersion: API_VERSION, kind: 'SftpEndpoint', name: owner.name, uid: owner.uid, controller: true, blockOwnerDeletion: false }],
    },
    ...body,
  };
}
