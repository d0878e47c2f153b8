import { systemClock } from '@skiff/kube/clock';
import { Informer } from '@skiff/kube/informer';
import type { KubeClient } from '@skiff/kube/kube-client';
import { KubeError } from '@skiff/kube/kube-error';
import { type KubeObject, keyOf } from '@skiff/kube/kube-object';
import {
  ConfigMaps,
  Deployments,
  HorizontalPodAutoscalers,
  NetworkPolicies,
  PodDisruptionBudgets,
  type ResourceType,
  ServiceAccounts,
  Services,
} from '@skiff/kube/resource-type';
import { MANAGED_BY } from '@skiff/policy/workload-names';
import type { Logger } from '@skiff/runtime/logger';
import { newerObject } from '../newer-object.ts';
import { controllingEndpoint } from './ownership.ts';

/** Kinds that an endpoint consists of, but for Secrets, which are asked for one by one. */
const OWNED_TYPES: readonly ResourceType[] = [
  ServiceAccounts,
  ConfigMaps,
  Services,
  NetworkPolicies,
  PodDisruptionBudgets,
  Deployments,
  HorizontalPodAutoscalers,
];
const CALL_TIMEOUT_MS = 10_000;
const SYNC_TIMEOUT_MS = 30_000;

export interface OwnedObjectsProps {
  readonly client: KubeClient;
  readonly namespace: string;
  /** An object of this endpoint appeared, changed or went. */
  readonly onChange: (endpointKey: string) => void;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

export interface OwnedObject {
  readonly type: ResourceType;
  readonly object: KubeObject;
}

/** What the operator has made in one namespace, as watches tell, and as its own writes have told before them. */
export class OwnedObjects {
  readonly #props: OwnedObjectsProps;
  readonly #informers: ReadonlyMap<string, Informer>;
  readonly #stop = new AbortController();
  readonly #written = new Map<string, KubeObject>();
  /** Whose an object was: one that is gone no longer says so. */
  readonly #owners = new Map<string, string>();
  #runs: readonly Promise<void>[] = [];

  constructor(props: OwnedObjectsProps) {
    this.#props = props;
    const { client, namespace, logger } = props;
    const labelSelector = Object.entries(MANAGED_BY)
      .map(([key, value]) => `${key}=${value}`)
      .join(',');
    const common = { client, namespace, labelSelector, clock: systemClock, random: Math.random, logger };
    this.#informers = new Map(OWNED_TYPES.map((type) => [type.kind, new Informer({ ...common, type })]));
  }

  /** Returns when everything that is there is known. @throws {KubeError} `denied` where the operator may not look. */
  async open(): Promise<void> {
    const { client, namespace, signal } = this.#props;
    for (const type of OWNED_TYPES) await client.listPage(type, { namespace, limit: 1, signal, timeoutMs: CALL_TIMEOUT_MS });
    const over = AbortSignal.any([signal, this.#stop.signal]);
    for (const [kind, informer] of this.#informers) informer.onKey((key) => this.#onKey(kind, informer, key));
    this.#runs = [...this.#informers.values()].map((informer) => informer.run(over));
    const patience = AbortSignal.any([over, AbortSignal.timeout(SYNC_TIMEOUT_MS)]);
    try {
      await Promise.all([...this.#informers.values()].map((informer) => informer.waitForSync(patience)));
    } catch (cause) {
      await this.close();
      throw new KubeError({ code: 'unavailable', httpStatus: 0, message: `the objects of namespace ${namespace} could not be listed in time`, cause });
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#runs);
  }

  get(kind: string, name: string): KubeObject | undefined {
    const watched = this.#informers.get(kind)?.store.get(keyOf({ namespace: this.#props.namespace, name }));
    return newerObject(watched, this.#written.get(`${kind}/${name}`));
  }

  /** What an answer to a write has shown. */
  wrote(object: KubeObject): void {
    this.#written.set(`${object.kind}/${object.metadata.name}`, object);
  }

  /** Everything that this endpoint controls. */
  of(endpointKey: string): readonly OwnedObject[] {
    return OWNED_TYPES.flatMap((type) =>
      (this.#informers.get(type.kind)?.store.list() ?? [])
        .filter((object) => controllingEndpoint(object) === endpointKey)
        .map((object) => ({ type, object: { ...object, apiVersion: type.apiVersion, kind: type.kind } })),
    );
  }

  /** Keys of endpoints that control anything here. */
  endpointKeys(): readonly string[] {
    const objects = [...this.#informers.values()].flatMap((informer) => informer.store.list());
    return [...new Set(objects.map(controllingEndpoint).filter((key) => key !== undefined))];
  }

  #onKey(kind: string, informer: Informer, key: string): void {
    const object = informer.store.get(key);
    const id = `${kind}/${key.slice(key.indexOf('/') + 1)}`;
    const written = this.#written.get(id);
    if (written !== undefined && (object === undefined || newerObject(object, written) === object)) this.#written.delete(id);
    const owner = object === undefined ? this.#owners.get(id) : (controllingEndpoint(object) ?? this.#owners.get(id));
    if (object === undefined) this.#owners.delete(id);
    else if (owner !== undefined) this.#owners.set(id, owner);
    if (owner !== undefined && informer.hasSynced) this.#props.onChange(owner);
  }
}

/** The type of a planned manifest. */
export function typeOfKind(kind: string): ResourceType {
  const type = OWNED_TYPES.find((candidate) => candidate.kind === kind);
  if (type === undefined) throw new RangeError(`no endpoint consists of a ${kind}`);
  return type;
}
