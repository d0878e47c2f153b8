import { endpointSecretsOf } from '@skiff/model/endpoint-secrets';
import type { EventRoute } from '@skiff/model/event-route';
import { objectKey } from '@skiff/model/object-meta';
import { secretRefsOf } from '@skiff/model/route-secrets';
import type { SftpUser } from '@skiff/model/sftp-user';
import { endpointKeyOf } from '@skiff/policy/endpoint-ref';
import { type ChangedRef, type ResourceSource, refKey, refOf } from '../resource-source.ts';

/** A part of an endpoint's work. */
export type WorkStage = 'endpoint' | 'users' | 'routes';

export interface Work {
  readonly stage: WorkStage;
  /** `namespace/name` */
  readonly endpointKey: string;
}

/** Which endpoint each object belonged to when it was last looked at: an object that is gone, or has moved, no longer says so. */
export interface EndpointIndex {
  readonly ownerOf: ReadonlyMap<string, string>;
  /** Endpoints that name the Secret, or whose users or routes do. */
  readonly bySecret: ReadonlyMap<string, ReadonlySet<string>>;
  readonly endpointKeys: ReadonlySet<string>;
}

export const EMPTY_INDEX: EndpointIndex = { ownerOf: new Map(), bySecret: new Map(), endpointKeys: new Set() };

export function indexSource(source: Pick<ResourceSource, 'endpoints' | 'users' | 'routes'>): EndpointIndex {
  const ownerOf = new Map<string, string>();
  const bySecret = new Map<string, Set<string>>();
  const endpointKeys = new Set(source.endpoints().map(({ metadata }) => objectKey(metadata)));
  const needs = (owner: string, namespace: string, name: string): void => {
    const key = refKey({ kind: 'Secret', namespace, name });
    bySecret.set(key, (bySecret.get(key) ?? new Set()).add(owner));
  };
  for (const { metadata, spec } of source.endpoints()) for (const name of endpointSecretsOf(spec)) needs(objectKey(metadata), metadata.namespace, name);
  for (const resource of [...source.users(), ...source.routes()]) {
    const owner = endpointKeyOf(resource);
    ownerOf.set(refKey(refOf(resource)), owner);
    endpointKeys.add(owner);
    for (const name of secretNamesOf(resource)) needs(owner, resource.metadata.namespace, name);
  }
  return { ownerOf, bySecret, endpointKeys };
}

function secretNamesOf(resource: SftpUser | EventRoute): readonly string[] {
  if (resource.kind === 'EventRoute') return resource.spec.targets.flatMap(secretRefsOf).map(({ name }) => name);
  return resource.spec.password === undefined ? [] : [resource.spec.password.hashSecretRef.name];
}

/** The work that changes of objects ask for, given the index before and after them. Pure. */
export function workFor(changed: Iterable<ChangedRef>, before: EndpointIndex, after: EndpointIndex): readonly Work[] {
  const work = new Map<string, Work>();
  const add = (stage: WorkStage, endpointKey: string | undefined): void => {
    if (endpointKey !== undefined) work.set(`${stage} ${endpointKey}`, { stage, endpointKey });
  };
  for (const ref of changed) {
    const key = refKey(ref);
    switch (ref.kind) {
      case 'SftpEndpoint':
        for (const stage of ['endpoint', 'users', 'routes'] as const) add(stage, objectKey(ref));
        break;
      case 'SftpUser':
      case 'EventRoute':
        for (const index of [before, after]) add(ref.kind === 'SftpUser' ? 'users' : 'routes', index.ownerOf.get(key));
        break;
      case 'Secret':
        for (const endpointKey of after.bySecret.get(key) ?? []) for (const stage of ['endpoint', 'users', 'routes'] as const) add(stage, endpointKey);
        break;
    }
  }
  return [...work.values()];
}
