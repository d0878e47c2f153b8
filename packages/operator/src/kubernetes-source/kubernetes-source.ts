import { systemClock as kubeClock } from '@skiff/kube/clock';
import { EventRecorder } from '@skiff/kube/events';
import { Informer } from '@skiff/kube/informer';
import type { Fence, KubeClient } from '@skiff/kube/kube-client';
import { keyOf } from '@skiff/kube/kube-object';
import { EventRoutes, Namespaces, type ResourceType, SftpEndpoints, SftpUsers } from '@skiff/kube/resource-type';
import type { Condition, ResourceStatus } from '@skiff/model/condition';
import { endpointSecretsOf } from '@skiff/model/endpoint-secrets';
import type { EventRoute } from '@skiff/model/event-route';
import type { ResourceKind } from '@skiff/model/object-meta';
import { secretRefsOf } from '@skiff/model/route-secrets';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { SftpUser } from '@skiff/model/sftp-user';
import type { Logger } from '@skiff/runtime/logger';
import {
  type ChangedRef,
  type ResourceEvent,
  type ResourceRef,
  type ResourceSource,
  refFromKey,
  type SecretLookup,
  type StatusDetails,
} from '../resource-source.ts';
import { invalidConditions } from './invalid-conditions.ts';
import { ResourceCache } from './resource-cache.ts';
import { SecretReader } from './secret-reader.ts';
import { StatusWriter } from './status-writer.ts';

export interface KubernetesSourceProps {
  readonly client: KubeClient;
  /** Asked before each write. */
  readonly fence: Fence;
  /** Ends all requests at once: the right to write is lost. */
  readonly signal: AbortSignal;
  /** Of the operator. */
  readonly serviceAccount: { readonly namespace: string; readonly name: string };
  /** Name of this process in Events. */
  readonly instance: string;
  readonly logger: Logger;
  readonly random?: () => number;
}

export interface KubernetesSource extends ResourceSource {
  /** What the slowest watch has been silent for, ms: above two minutes something is wrong. */
  lastEventAgeMs(): number;
}

export function createKubernetesSource(props: KubernetesSourceProps): KubernetesSource {
  return new InformedSource(props);
}

const TYPES: Readonly<Record<ResourceKind, ResourceType>> = { SftpEndpoint: SftpEndpoints, SftpUser: SftpUsers, EventRoute: EventRoutes };

interface Watched<Kind extends ResourceKind> {
  readonly informer: Informer;
  readonly cache: ResourceCache<Kind>;
}

class InformedSource implements KubernetesSource {
  readonly #props: KubernetesSourceProps;
  readonly #watched: { readonly [Kind in ResourceKind]: Watched<Kind> };
  readonly #namespaces: Informer;
  readonly #secrets: SecretReader;
  readonly #statuses: StatusWriter;
  readonly #events: EventRecorder;
  readonly #listeners = new Set<(changed: ChangedRef) => void>();
  readonly #stop = new AbortController();
  #runs: readonly Promise<void>[] = [];
  /** Until then the lists are parts of the truth, and nobody may conclude from what is missing. */
  #complete = false;
  /** Names of referenced Secrets by namespace; undefined after any change. */
  #referenced: ReadonlyMap<string, ReadonlySet<string>> | undefined;

  constructor(props: KubernetesSourceProps) {
    const { client, fence, signal, instance, logger, serviceAccount, random = Math.random } = props;
    this.#props = props;
    const common = { client, clock: kubeClock, random, logger };
    const watched = <Kind extends ResourceKind>(kind: Kind): Watched<Kind> => {
      const informer = new Informer({ ...common, type: TYPES[kind] });
      return { informer, cache: new ResourceCache(kind, informer.store) };
    };
    this.#watched = { SftpEndpoint: watched('SftpEndpoint'), SftpUser: watched('SftpUser'), EventRoute: watched('EventRoute') };
    this.#namespaces = new Informer({ ...common, type: Namespaces });
    this.#statuses = new StatusWriter({ client, fence, signal });
    this.#events = new EventRecorder({ client, instance, clock: kubeClock, logger, signal, fence });
    this.#secrets = new SecretReader({
      client,
      serviceAccount,
      referenced: (namespace) => this.#referencedIn(namespace),
      onChange: (namespace, name) => this.#tell({ kind: 'Secret', namespace, name }),
      clock: kubeClock,
      random,
      logger,
    });
  }

  async start(signal: AbortSignal): Promise<void> {
    const over = AbortSignal.any([this.#stop.signal, this.#props.signal]);
    for (const kind of ['SftpEndpoint', 'SftpUser', 'EventRoute'] as const) this.#watched[kind].informer.onKey((key) => this.#onKey(kind, key));
    this.#namespaces.onKey((key) => this.#onNamespace(key));
    const informers = this.#informers();
    this.#runs = informers.map((informer) => informer.run(over));
    this.#secrets.start();
    await Promise.all(informers.map((informer) => informer.waitForSync(AbortSignal.any([signal, over]))));
    this.#complete = true;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#runs, this.#secrets.stop()]);
  }

  endpoints(): readonly SftpEndpoint[] {
    return this.#watched.SftpEndpoint.cache.list();
  }
  users(): readonly SftpUser[] {
    return this.#watched.SftpUser.cache.list();
  }
  routes(): readonly EventRoute[] {
    return this.#watched.EventRoute.cache.list();
  }

  /** Once the watches are complete, only an object that this program cannot read (of a newer CRD) is there without being listed. */
  mayExist(ref: ResourceRef): boolean {
    return !this.#complete || this.#watched[ref.kind].cache.problemOf(keyOf(ref)) !== undefined;
  }

  subscribe(listener: (changed: ChangedRef) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  secretValue(namespace: string, name: string, key: string): Promise<SecretLookup> {
    return this.#secrets.value(namespace, name, key);
  }

  namespaceLabels(namespace: string): Readonly<Record<string, string>> | undefined {
    const found = this.#namespaces.store.get(namespace);
    return found === undefined ? undefined : (found.metadata.labels ?? {});
  }

  status(ref: ResourceRef): ResourceStatus | undefined {
    return this.#statuses.statusOf(ref, this.#watched[ref.kind].cache.object(keyOf(ref)));
  }

  async writeStatus(ref: ResourceRef, conditions: readonly Condition[], details: StatusDetails = {}): Promise<void> {
    const known = this.#watched[ref.kind].cache.object(keyOf(ref));
    if (known === undefined) return;
    const before = this.status(ref);
    const { deliveries, hostKeys } = before ?? {};
    const kept = { ...(deliveries === undefined ? {} : { deliveries }), ...(hostKeys === undefined ? {} : { hostKeys }) };
    await this.#statuses.write({ type: TYPES[ref.kind], ref, known }, { conditions, ...kept, ...details });
    this.#announce(ref, before?.conditions ?? [], conditions);
  }

  recordEvent(ref: ResourceRef, { type, reason, message }: ResourceEvent): void {
    const regarding = this.#watched[ref.kind].cache.object(keyOf(ref));
    if (regarding !== undefined) this.#events.record({ regarding, type, reason, action: 'Reconcile', note: message });
  }

  lastEventAgeMs(): number {
    return Math.max(...this.#informers().map((informer) => informer.status.lastEventAgeMs));
  }

  #informers(): readonly Informer[] {
    return [...Object.values(this.#watched).map(({ informer }) => informer), this.#namespaces];
  }

  /** An Event for what a person would want to be told of: trouble that began, and its end. A thousand fresh users are no news. */
  #announce(ref: ResourceRef, before: readonly Condition[], after: readonly Condition[]): void {
    const was = before.find(({ type }) => type === 'Ready');
    const is = after.find(({ type }) => type === 'Ready');
    if (is === undefined || (is.status === was?.status && is.reason === was.reason)) return;
    if (is.status === 'False') this.recordEvent(ref, { type: 'Warning', reason: is.reason, message: is.message });
    else if (is.status === 'True' && was?.status === 'False') this.recordEvent(ref, { type: 'Normal', reason: is.reason, message: is.message });
  }

  #onKey(kind: ResourceKind, key: string): void {
    const { cache } = this.#watched[kind];
    const changed = cache.refresh(key);
    const ref = refFromKey(kind, key);
    this.#statuses.caughtUp(ref, cache.object(key));
    if (!changed) return;
    this.#referenced = undefined;
    const problem = cache.problemOf(key);
    if (problem !== undefined) this.#refuse(ref, problem);
    this.#tell(ref);
  }

  /** No reconciler sees an object that cannot be read. */
  #refuse(ref: ResourceRef, problem: string): void {
    const generation = this.#watched[ref.kind].cache.object(keyOf(ref))?.metadata.generation ?? 0;
    const conditions = invalidConditions({ problem, generation, before: this.status(ref)?.conditions ?? [], now: new Date() });
    this.writeStatus(ref, conditions).catch((err: unknown) => this.#props.logger.warn({ ref, err }, 'status of an unreadable object cannot be written'));
  }

  /** A label that came or went may admit or shut out a namespace. */
  #onNamespace(_key: string): void {
    for (const { metadata, spec } of this.endpoints()) {
      if (spec.allowedUsers?.namespaces?.from === 'Selector') this.#tell({ kind: 'SftpEndpoint', namespace: metadata.namespace, name: metadata.name });
    }
  }

  /** What is there at the start is looked at as a whole, when all of it is known. */
  #tell(changed: ChangedRef): void {
    if (!this.#complete) return;
    for (const listener of this.#listeners) listener(changed);
  }

  #referencedIn(namespace: string): ReadonlySet<string> {
    this.#referenced ??= referencedSecrets(this.endpoints(), this.users(), this.routes());
    return this.#referenced.get(namespace) ?? NONE;
  }
}

const NONE: ReadonlySet<string> = new Set();

function referencedSecrets(
  endpoints: readonly SftpEndpoint[],
  users: readonly SftpUser[],
  routes: readonly EventRoute[],
): ReadonlyMap<string, ReadonlySet<string>> {
  const names = new Map<string, Set<string>>();
  const add = (namespace: string, name: string): void => {
    const known = names.get(namespace);
    if (known === undefined) names.set(namespace, new Set([name]));
    else known.add(name);
  };
  for (const { metadata, spec } of endpoints) for (const name of endpointSecretsOf(spec)) add(metadata.namespace, name);
  for (const { metadata, spec } of users) if (spec.password !== undefined) add(metadata.namespace, spec.password.hashSecretRef.name);
  for (const { metadata, spec } of routes) for (const { name } of spec.targets.flatMap(secretRefsOf)) add(metadata.namespace, name);
  return names;
}
