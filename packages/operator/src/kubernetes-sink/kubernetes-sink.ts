import { Applier, type ApplyOutcome } from '@skiff/kube/apply';
import type { Fence, KubeClient, Manifest } from '@skiff/kube/kube-client';
import { isNotFound, KubeError } from '@skiff/kube/kube-error';
import type { KubeObject } from '@skiff/kube/kube-object';
import { type ResourceType, Secrets } from '@skiff/kube/resource-type';
import { objectKey } from '@skiff/model/object-meta';
import { planWorkloads, type WorkloadManifest } from '@skiff/policy/plan-workloads';
import type { WorkloadContext } from '@skiff/policy/workload-context';
import { databaseSecretName, routerName, routeSecretName, workloadName } from '@skiff/policy/workload-names';
import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import type { DesiredEndpoint, EndpointReadiness, EndpointSink } from '../endpoint-sink.ts';
import type { ResourceSource } from '../resource-source.ts';
import { evaluateReadiness } from './endpoint-readiness.ts';
import { endpointSecret } from './endpoint-secret.ts';
import { gatherRouteSecrets } from './gathered-secrets.ts';
import { type OwnedObject, OwnedObjects, typeOfKind } from './owned-objects.ts';
import { type Owner, ownershipOf } from './ownership.ts';
import { explainRefusal } from './refusal.ts';

export interface KubernetesSinkProps {
  readonly client: KubeClient;
  /** For the routes' secrets, and to look at an endpoint again when one of them changes. */
  readonly source: Pick<ResourceSource, 'endpoints' | 'routes' | 'secretValue' | 'namespaceLabels' | 'subscribe'>;
  readonly context: WorkloadContext;
  /** For pods, when the context says that it lies in a Secret. */
  readonly databaseUrl: Secret<string>;
  /** Asked before each write. */
  readonly fence: Fence;
  /** Ends all requests at once: the right to write is lost. */
  readonly signal: AbortSignal;
  /** Of the operator. */
  readonly serviceAccount: { readonly namespace: string; readonly name: string };
  readonly logger: Logger;
}

export interface KubernetesSink extends EndpointSink {
  /** Ends the watches. What runs in the cluster goes on. */
  stop(): Promise<void>;
}

export function createKubernetesSink(props: KubernetesSinkProps): KubernetesSink {
  return new ApplyingSink(props);
}

const CALL_TIMEOUT_MS = 15_000;

class ApplyingSink implements KubernetesSink {
  readonly #props: KubernetesSinkProps;
  readonly #applier: Applier;
  readonly #namespaces = new Map<string, Promise<OwnedObjects>>();
  readonly #listeners = new Set<(key: string) => void>();
  readonly #unsubscribe: () => void;

  constructor(props: KubernetesSinkProps) {
    this.#props = props;
    this.#applier = new Applier(props.client);
    this.#unsubscribe = props.source.subscribe((changed) => {
      if (changed.kind === 'EventRoute' || changed.kind === 'Secret') for (const { metadata } of props.source.endpoints()) this.#tell(objectKey(metadata));
    });
  }

  async apply(endpoint: DesiredEndpoint, signal: AbortSignal): Promise<EndpointReadiness> {
    const owner = ownerOf(endpoint);
    const call = AbortSignal.any([signal, this.#props.signal]);
    try {
      const owned = await this.#open(owner.namespace);
      return await this.#apply({ endpoint, owner, owned, signal: call });
    } catch (error) {
      call.throwIfAborted();
      const refusal = explainRefusal(error, owner.namespace, this.#props.serviceAccount);
      if (refusal === undefined) throw error;
      return refusal;
    }
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    const namespace = key.slice(0, key.indexOf('/'));
    const opened = this.#namespaces.get(namespace);
    if (opened === undefined || this.#isBeingOrphaned(key)) return;
    const owned = await opened;
    const call = AbortSignal.any([signal, this.#props.signal]);
    for (const object of owned.of(key)) await this.#delete(object, call);
    const others = this.#props.source.endpoints().some(({ metadata }) => metadata.namespace === namespace && objectKey(metadata) !== key);
    if (others || owned.of(key).length > 0) return;
    this.#namespaces.delete(namespace);
    await owned.close();
  }

  /** `kubectl delete --cascade=orphan`: Kubernetes cuts the owner references, and only then the endpoint goes. */
  #isBeingOrphaned(key: string): boolean {
    const leaving = this.#props.source.endpoints().find(({ metadata }) => objectKey(metadata) === key);
    return leaving?.metadata.finalizers?.includes('orphan') === true;
  }

  /** Where endpoints are. What an endpoint left behind in other namespaces, while nobody looked, Kubernetes collects by its owner references. */
  async running(): Promise<readonly string[]> {
    const opened = await Promise.all(this.#namespaces.values());
    return opened.flatMap((owned) => owned.endpointKeys());
  }

  subscribe(listener: (key: string) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    for (const opened of this.#namespaces.values()) {
      try {
        await (await opened).close();
      } catch (err) {
        this.#props.logger.debug({ err }, 'namespace was not open');
      }
    }
  }

  async #apply(work: Work): Promise<EndpointReadiness> {
    const { endpoint, owner, owned } = work;
    const { spec, settings } = endpoint;
    if (settings.storage.kind === 'local' && spec.storage.local?.volumeClaim === undefined) {
      return {
        kind: 'notReady',
        reason: 'Invalid',
        message: 'pods have no disk that lasts: set spec.storage.local.volumeClaim, or use spec.storage.azureBlob',
      };
    }
    const current = owned.get('Deployment', workloadName(owner.name))?.spec;
    const planned = planWorkloads({ owner, spec, settings, context: this.#props.context, currentReplicas: replicasOf(current) });
    const obstacles = [...(await this.#applySecrets(work)), ...(await this.#applyAll(work, planned))];
    await this.#prune(work, planned);
    const [first] = obstacles;
    if (first !== undefined) return { kind: 'notReady', ...first };
    const names = settings.events === null ? [workloadName(owner.name)] : [workloadName(owner.name), routerName(owner.name)];
    return evaluateReadiness({
      service: owned.get('Service', workloadName(owner.name)),
      deployments: names.map((name) => owned.get('Deployment', name)).filter((object) => object !== undefined),
    });
  }

  async #applyAll(work: Work, planned: readonly WorkloadManifest[]): Promise<readonly ObjectObstacle[]> {
    const obstacles: ObjectObstacle[] = [];
    for (const manifest of planned) {
      const type = typeOfKind(manifest.kind);
      const known = work.owned.get(manifest.kind, manifest.metadata.name);
      const outcome = await this.#applyOne(work, { type, manifest, actual: known ?? (await this.#find(type, manifest, work.signal)) });
      if ('reason' in outcome) obstacles.push(outcome);
      else if (outcome.written) work.owned.wrote({ ...outcome.object, kind: manifest.kind });
    }
    return obstacles;
  }

  async #applySecrets(work: Work): Promise<readonly ObjectObstacle[]> {
    const { endpoint, owner, signal } = work;
    const { context, databaseUrl, source } = this.#props;
    const wanted: WorkloadManifest[] = [];
    if (context.database.kind === 'secret') wanted.push(endpointSecret(owner, databaseSecretName(owner.name), { url: databaseUrl.reveal() }));
    const resource = source.endpoints().find(({ metadata }) => objectKey(metadata) === endpoint.key);
    const gathered = resource === undefined || endpoint.settings.events === null ? {} : await gatherRouteSecrets(source, resource);
    const routeSecrets = endpointSecret(owner, routeSecretName(owner.name), gathered);
    if (Object.keys(gathered).length > 0) wanted.push(routeSecrets);
    const obstacles: ObjectObstacle[] = [];
    for (const manifest of wanted) {
      const outcome = await this.#applyOne(work, { type: Secrets, manifest, actual: await this.#find(Secrets, manifest, signal) });
      if ('reason' in outcome) obstacles.push(outcome);
    }
    if (Object.keys(gathered).length === 0) {
      const left = await this.#find(Secrets, routeSecrets, signal);
      if (left !== undefined && ownershipOf(left, owner) === 'ours') await this.#delete({ type: Secrets, object: left }, signal);
    }
    return obstacles;
  }

  async #applyOne(
    { owner, signal }: Work,
    step: { readonly type: ResourceType; readonly manifest: WorkloadManifest; readonly actual: KubeObject | undefined },
  ): Promise<ObjectObstacle | { readonly written: boolean; readonly object: KubeObject }> {
    const { type, manifest, actual } = step;
    const named = `${manifest.kind} ${manifest.metadata.name}`;
    switch (actual === undefined ? 'ours' : ownershipOf(actual, owner)) {
      case 'foreign':
        return { reason: 'NameConflict', message: `${named} exists and is not this endpoint's: delete or rename it, and it will be made anew` };
      case 'stale':
        if (actual !== undefined) await this.#delete({ type, object: actual }, signal);
        return { reason: 'Pending', message: `${named} of an endpoint of the same name that was deleted is being removed` };
      case 'ours':
        break;
    }
    if (actual?.metadata.deletionTimestamp !== undefined) return { reason: 'Pending', message: `${named} is being deleted and will be made anew` };
    const outcome = await this.#write(type, manifest, actual, signal);
    if (outcome.written) this.#props.logger.info({ endpoint: objectKey(owner), kind: manifest.kind, object: manifest.metadata.name }, 'object applied');
    return outcome;
  }

  /**
   * Server-side apply takes no list item away that another manager has put there. Where that makes the object impossible (a port of a
   * Service that somebody renumbered stands beside ours, by the same name), the spec is overwritten first.
   */
  async #write(type: ResourceType, desired: Manifest, actual: KubeObject | undefined, signal: AbortSignal): Promise<ApplyOutcome> {
    const options = { signal, fence: this.#props.fence, timeoutMs: CALL_TIMEOUT_MS };
    try {
      return await this.#applier.apply({ type, desired, actual }, options);
    } catch (error) {
      if (!(error instanceof KubeError && error.code === 'invalid') || actual === undefined || desired.spec === undefined) throw error;
      await this.#props.client.mergePatch(type, actual.metadata, { spec: desired.spec }, options);
      return await this.#applier.apply({ type, desired, actual: undefined }, options);
    }
  }

  /** What an endpoint no longer needs: the router of one without events, an autoscaler that was turned off. */
  async #prune({ endpoint, owner, owned, signal }: Work, planned: readonly WorkloadManifest[]): Promise<void> {
    const wanted = new Set(planned.map(({ kind, metadata }) => `${kind}/${metadata.name}`));
    for (const object of owned.of(endpoint.key)) {
      const { kind, metadata } = object.object;
      if (!wanted.has(`${kind}/${metadata.name}`) && ownershipOf(object.object, owner) === 'ours') await this.#delete(object, signal);
    }
  }

  /** What has lost its label is not seen by the watches, and neither is what others have made. */
  async #find(type: ResourceType, { metadata }: WorkloadManifest, signal: AbortSignal): Promise<KubeObject | undefined> {
    try {
      return await this.#props.client.get(type, { namespace: metadata.namespace, name: metadata.name }, { signal, timeoutMs: CALL_TIMEOUT_MS });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #delete({ type, object }: OwnedObject, signal: AbortSignal): Promise<void> {
    const { name, namespace, uid, resourceVersion, deletionTimestamp } = object.metadata;
    if (deletionTimestamp !== undefined) return;
    // Only what was looked at: it may have been given to somebody else meanwhile.
    const seen = { ...(uid === undefined ? {} : { uid }), ...(resourceVersion === undefined ? {} : { resourceVersion }) };
    const options = { signal, fence: this.#props.fence, timeoutMs: CALL_TIMEOUT_MS, propagation: 'Background' as const, ...seen };
    try {
      await this.#props.client.delete(type, { namespace, name }, options);
      this.#props.logger.info({ namespace, kind: type.kind, object: name }, 'object deleted');
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async #open(namespace: string): Promise<OwnedObjects> {
    const known = this.#namespaces.get(namespace);
    if (known !== undefined) return known;
    const { client, signal, logger } = this.#props;
    const owned = new OwnedObjects({ client, namespace, signal, logger, onChange: (key) => this.#tell(key) });
    const opening = owned.open().then(() => owned);
    this.#namespaces.set(namespace, opening);
    // Asked again at the next reconcile.
    opening.catch(() => this.#namespaces.delete(namespace));
    return opening;
  }

  #tell(key: string): void {
    for (const listener of this.#listeners) listener(key);
  }
}

interface Work {
  readonly endpoint: DesiredEndpoint;
  readonly owner: Owner;
  readonly owned: OwnedObjects;
  readonly signal: AbortSignal;
}

interface ObjectObstacle {
  readonly reason: 'NameConflict' | 'Pending';
  readonly message: string;
}

function ownerOf({ settings, uid }: DesiredEndpoint): Owner {
  return { namespace: settings.namespace, name: settings.name, uid };
}

function replicasOf(spec: unknown): number | undefined {
  const replicas = typeof spec === 'object' && spec !== null && 'replicas' in spec ? spec.replicas : undefined;
  return typeof replicas === 'number' ? replicas : undefined;
}
