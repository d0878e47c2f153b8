import { canonicalJson, digest } from './canonical.ts';
import type { KubeClient, Manifest, WriteOptions } from './kube-client.ts';
import { type KubeObject, keyOf } from './kube-object.ts';
import { project } from './projection.ts';
import type { ResourceType } from './resource-type.ts';

/** On every applied object: digest of the configuration that was applied, so that fields that vanished from it are noticed. */
export const APPLIED_ANNOTATION = 'skiff.dev/applied';

export interface ApplyRequest {
  readonly type: ResourceType;
  readonly desired: Manifest;
  /** What an informer knows; undefined: no such object. */
  readonly actual: KubeObject | undefined;
}

export interface ApplyOutcome {
  readonly written: boolean;
  readonly object: KubeObject;
}

/** Objects whose normal form is remembered; each takes about 100 bytes. */
const MAX_REMEMBERED = 20_000;

/**
 * Server-side apply that writes only what differs: in a steady state there are no writes, and a change by hand is seen and undone.
 *
 * An object needs no write when the digest on it is that of the desired configuration and the fields we speak about have the
 * desired values. Some values never look as desired, since the server normalises them (`1000m` becomes `1`): the form in
 * which an applied configuration came back is remembered and counts as desired too. After a restart such an object is applied once
 * more, which the server recognises as no change.
 */
export class Applier {
  readonly #client: Pick<KubeClient, 'apply' | 'applyStatus'>;
  readonly #normalForms = new Map<string, string>();

  constructor(client: Pick<KubeClient, 'apply' | 'applyStatus'>) {
    this.#client = client;
  }

  /** @throws {KubeError} */
  async apply(request: ApplyRequest, options: WriteOptions): Promise<ApplyOutcome> {
    const desired = withDigest(request.desired);
    if (request.actual !== undefined && this.#isApplied('object', desired, request)) return { written: false, object: request.actual };
    const object = await this.#client.apply(request.type, desired, options);
    this.#remember('object', desired, object, request.type);
    return { written: true, object };
  }

  /**
   * The same for the status of an object that exists. Members of a status are never taken away by leaving them out, so it needs no digest.
   *
   * @throws {KubeError} `notFound` when the object has gone.
   */
  async applyStatus(request: ApplyRequest, options: WriteOptions): Promise<ApplyOutcome> {
    if (request.actual !== undefined && this.#isApplied('status', request.desired, request)) return { written: false, object: request.actual };
    const object = await this.#client.applyStatus(request.type, request.desired, options);
    this.#remember('status', request.desired, object, request.type);
    return { written: true, object };
  }

  #isApplied(part: Part, desired: Manifest, request: ApplyRequest): boolean {
    const projected = project(desired, request.actual);
    if (canonicalJson(projected) === canonicalJson(desired)) return true;
    return this.#normalForms.get(memoryKey(part, desired, request.type)) === normalForm(desired, projected);
  }

  #remember(part: Part, desired: Manifest, object: KubeObject, type: ResourceType): void {
    const key = memoryKey(part, desired, type);
    this.#normalForms.delete(key);
    const projected = project(desired, object);
    if (canonicalJson(projected) === canonicalJson(desired)) return;
    this.#normalForms.set(key, normalForm(desired, projected));
    const [oldest] = this.#normalForms.keys();
    if (this.#normalForms.size > MAX_REMEMBERED && oldest !== undefined) this.#normalForms.delete(oldest);
  }
}

type Part = 'object' | 'status';

/** Adds the digest of the whole configuration to its annotations. Pure. */
export function withDigest(desired: Manifest): Manifest {
  const annotations = desired.metadata.annotations;
  const others = typeof annotations === 'object' && annotations !== null ? annotations : {};
  return { ...desired, metadata: { ...desired.metadata, annotations: { ...others, [APPLIED_ANNOTATION]: digest(desired) } } };
}

function memoryKey(part: Part, desired: Manifest, type: ResourceType): string {
  return `${part} ${type.apiVersion} ${type.plural} ${keyOf({ namespace: desired.metadata.namespace, name: desired.metadata.name ?? '' })}`;
}

function normalForm(desired: Manifest, projected: unknown): string {
  return digest([desired, projected]);
}
