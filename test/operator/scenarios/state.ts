import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '@skiff/database/connect';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { KubeClient } from '@skiff/kube/kube-client';
import type { KubeObject } from '@skiff/kube/kube-object';
import {
  ConfigMaps,
  Deployments,
  EventRoutes,
  HorizontalPodAutoscalers,
  NetworkPolicies,
  PodDisruptionBudgets,
  type ResourceType,
  Secrets,
  ServiceAccounts,
  Services,
  SftpEndpoints,
  SftpUsers,
} from '@skiff/kube/resource-type';
import { isRecord } from '@skiff/model/is-record';
import { OWNED, playKubelet } from '../play-kubelet.ts';

export const OUR_TYPES: readonly ResourceType[] = [SftpEndpoints, SftpUsers, EventRoutes];
const OWNED_TYPES: readonly ResourceType[] = [
  ConfigMaps,
  Secrets,
  ServiceAccounts,
  Services,
  Deployments,
  PodDisruptionBudgets,
  HorizontalPodAutoscalers,
  NetworkPolicies,
];

export interface StateQuery {
  readonly client: KubeClient;
  readonly database: Database;
  readonly namespaces: readonly string[];
}

/** What an operator has made of resources, without what differs from run to run: one entry per row, status and object, by name. */
async function readState({ client, database, namespaces }: StateQuery): Promise<ReadonlyMap<string, string>> {
  const state = new Map<string, string>();
  const rows = createResourceRepository(database);
  for (const { id, namespace, name } of await rows.endpoints()) {
    if (!namespaces.includes(namespace)) continue;
    for (const row of await rows.users(id)) state.set(`row of user ${namespace}/${name} ${row.username}`, canonical(row));
    for (const row of await rows.routes(id)) state.set(`row of route ${namespace}/${name} ${row.namespace}/${row.name}`, canonical(row));
  }
  for (const object of await listOurs(client, namespaces)) state.set(`status of ${nameOf(object)}`, canonical(withoutTimes(object.status)));
  for (const { object } of await listOwned(client, namespaces)) state.set(`object ${nameOf(object)}`, canonical(comparable(object)));
  return state;
}

/** What differs, in words; empty: nothing. */
export function differences(actual: ReadonlyMap<string, string>, golden: ReadonlyMap<string, string>): readonly string[] {
  const names = new Set([...actual.keys(), ...golden.keys()]);
  return [...names].filter((name) => actual.get(name) !== golden.get(name)).map((name) => `${name}: ${actual.get(name)} ≠ ${golden.get(name)}`);
}

export async function listOurs(client: KubeClient, namespaces: readonly string[]): Promise<readonly KubeObject[]> {
  const listed = await Promise.all(OUR_TYPES.flatMap((type) => namespaces.map((namespace) => list(client, type, { namespace }))));
  return listed.flat();
}

export async function listOwned(
  client: KubeClient,
  namespaces: readonly string[],
): Promise<readonly { readonly type: ResourceType; readonly object: KubeObject }[]> {
  const listed = await Promise.all(
    OWNED_TYPES.flatMap((type) =>
      namespaces.map(async (namespace) => (await list(client, type, { namespace, labelSelector: OWNED })).map((object) => ({ type, object }))),
    ),
  );
  return listed.flat();
}

/** Objects of ours whose status does not speak of their newest generation. */
export function unobserved(objects: readonly KubeObject[]): readonly string[] {
  return objects
    .filter(({ metadata, status }) => !isRecord(status) || status.observedGeneration !== metadata.generation)
    .map((object) => `${nameOf(object)} at generation ${object.metadata.generation}: ${canonical(object.status)}`);
}

export interface Settled {
  readonly state: ReadonlyMap<string, string>;
  readonly unobserved: readonly string[];
  /** Until the last change, ms. */
  readonly settledMs: number;
}

/** Waits until nothing has changed for `quietMs`, and each object of ours is observed; gives up on that after `timeoutMs`. */
export async function settle(query: StateQuery, { quietMs, timeoutMs }: { readonly quietMs: number; readonly timeoutMs: number }): Promise<Settled> {
  const began = performance.now();
  let state = await readState(query);
  let changedAt = performance.now();
  for (;;) {
    await sleep(Math.min(1_000, quietMs));
    await playKubelet(query.client, query.namespaces);
    const now = await readState(query);
    if (differences(now, state).length > 0) changedAt = performance.now();
    state = now;
    const left = unobserved(await listOurs(query.client, query.namespaces));
    const isQuiet = performance.now() - changedAt >= quietMs && left.length === 0;
    if (isQuiet || performance.now() - began > timeoutMs) return { state, unobserved: left, settledMs: Math.round(changedAt - began) };
  }
}

async function list(
  client: KubeClient,
  type: ResourceType,
  query: { readonly namespace: string; readonly labelSelector?: string },
): Promise<readonly KubeObject[]> {
  const { items } = await client.listPage(type, { ...query, limit: 0, signal: AbortSignal.timeout(30_000) });
  return items.map((object) => ({ ...object, kind: type.kind }));
}

function nameOf({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.namespace}/${metadata.name}`;
}

/** Given by the API server, or a digest of the database's URL, which is another one in each run. */
const RUN_DEPENDENT = new Set([
  'clusterIP',
  'clusterIPs',
  'nodePort',
  'healthCheckNodePort',
  'skiff.dev/settings',
  'skiff.dev/applied',
  'deployment.kubernetes.io/revision',
]);

function comparable({ kind, metadata, spec, data }: KubeObject): unknown {
  const { labels, annotations, ownerReferences } = metadata;
  // Host keys are kept by intent; the others hold the database's URL.
  const content = kind === 'Secret' ? Object.keys(isRecord(data) ? data : {}).sort() : { spec, data };
  return { labels, annotations, ownerReferences, content };
}

function withoutTimes(status: unknown): unknown {
  if (!isRecord(status) || !Array.isArray(status.conditions)) return status;
  const conditions = status.conditions.map((condition: unknown) => (isRecord(condition) ? { ...condition, lastTransitionTime: '' } : condition));
  return { ...status, conditions };
}

function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (key, inner: unknown) => {
      if (RUN_DEPENDENT.has(key)) return '';
      return isRecord(inner) ? Object.fromEntries(Object.entries(inner).toSorted(([left], [right]) => (left < right ? -1 : 1))) : inner;
    }) ?? 'nothing'
  );
}
