import type { KubeObject } from '@skiff/kube/kube-object';
import { ENDPOINT_ANNOTATION, MANAGED_BY } from '@skiff/policy/workload-names';

export interface Owner {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/**
 * Whose an object is. `ours`: this endpoint's, or free to be adopted, since it was this endpoint's before somebody cut its owner
 * reference (`kubectl delete --cascade=orphan`, a restored backup). `stale`: of an endpoint of this name that was deleted.
 * `foreign`: somebody else's, and left alone.
 */
export type Ownership = 'ours' | 'stale' | 'foreign';

export function ownershipOf(object: KubeObject, owner: Owner): Ownership {
  const { ownerReferences = [], labels = {}, annotations = {} } = object.metadata;
  const controller = ownerReferences.find((reference) => reference.controller === true);
  if (controller === undefined) {
    const marked = labels[MANAGED] === MANAGED_BY[MANAGED] && annotations[ENDPOINT_ANNOTATION] === owner.name;
    return marked ? 'ours' : 'foreign';
  }
  if (controller.uid === owner.uid) return 'ours';
  return controller.kind === 'SftpEndpoint' && controller.name === owner.name ? 'stale' : 'foreign';
}

const MANAGED = 'app.kubernetes.io/managed-by';

/** Key of the endpoint that controls an object. */
export function controllingEndpoint(object: KubeObject): string | undefined {
  const controller = object.metadata.ownerReferences?.find((reference) => reference.controller === true && reference.kind === 'SftpEndpoint');
  return controller === undefined ? undefined : `${object.metadata.namespace ?? ''}/${controller.name}`;
}
