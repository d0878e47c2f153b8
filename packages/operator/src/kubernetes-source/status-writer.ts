import { Applier } from '@skiff/kube/apply';
import type { Fence, KubeClient } from '@skiff/kube/kube-client';
import { isNotFound } from '@skiff/kube/kube-error';
import type { KubeObject } from '@skiff/kube/kube-object';
import type { ResourceType } from '@skiff/kube/resource-type';
import type { Condition, ResourceStatus } from '@skiff/model/condition';
import type { HostKeyStatus } from '@skiff/model/host-key';
import { isRecord } from '@skiff/model/is-record';
import { API_VERSION } from '@skiff/model/object-meta';
import { isHostKeyStatus } from '../host-keys/is-host-key-status.ts';
import { isCondition } from '../is-condition.ts';
import { isRouteDeliveries } from '../is-route-deliveries.ts';
import { newerObject } from '../newer-object.ts';
import { type ResourceRef, refKey, type StatusDetails } from '../resource-source.ts';

export interface StatusWriterProps {
  readonly client: Pick<KubeClient, 'apply' | 'applyStatus'>;
  readonly fence: Fence;
  readonly signal: AbortSignal;
}

const WRITE_TIMEOUT_MS = 15_000;
/** Written and not yet told by a watch. Above that the oldest is forgotten, at the price of one write that changes nothing. */
const MAX_AHEAD = 20_000;

/** Writes statuses by server-side apply, and knows what it has written before the watch tells. */
export class StatusWriter {
  readonly #props: StatusWriterProps;
  readonly #applier: Applier;
  readonly #ahead = new Map<string, KubeObject>();

  constructor(props: StatusWriterProps) {
    this.#props = props;
    this.#applier = new Applier(props.client);
  }

  /** The status as last written, by whoever. `known`: what the watch has told. */
  statusOf(ref: ResourceRef, known: KubeObject | undefined): ResourceStatus | undefined {
    const object = this.#current(ref, known);
    return object === undefined ? undefined : readStatus(object.status);
  }

  /** @throws {KubeError} */
  async write(
    target: { readonly type: ResourceType; readonly ref: ResourceRef; readonly known: KubeObject | undefined },
    status: WrittenStatus,
  ): Promise<void> {
    const { type, ref, known } = target;
    const desired = {
      apiVersion: API_VERSION,
      kind: ref.kind,
      metadata: { namespace: ref.namespace, name: ref.name },
      status: { observedGeneration: Math.max(0, ...status.conditions.map((condition) => condition.observedGeneration)), ...status },
    };
    const { fence, signal } = this.#props;
    const actual = this.#current(ref, known);
    // Members that are to vanish are not seen in a comparison with what is wanted.
    const request = { type, desired, actual: actual !== undefined && hasMore(readStatus(actual.status), status) ? undefined : actual };
    try {
      const { object } = await this.#applier.applyStatus(request, { signal, fence, timeoutMs: WRITE_TIMEOUT_MS });
      const key = refKey(ref);
      this.#ahead.delete(key);
      this.#ahead.set(key, statusOnly(object));
      const [oldest] = this.#ahead.keys();
      if (this.#ahead.size > MAX_AHEAD && oldest !== undefined) this.#ahead.delete(oldest);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** The watch has told of the object. */
  caughtUp(ref: ResourceRef, known: KubeObject | undefined): void {
    const key = refKey(ref);
    const ahead = this.#ahead.get(key);
    if (ahead !== undefined && (known === undefined || newerObject(known, ahead) === known)) this.#ahead.delete(key);
  }

  #current(ref: ResourceRef, known: KubeObject | undefined): KubeObject | undefined {
    return newerObject(known, this.#ahead.get(refKey(ref)));
  }
}

/** The rest is in the store already, and twice the memory with it. */
function statusOnly({ apiVersion, kind, metadata, status }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion } = metadata;
  const known = {
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  return { apiVersion, kind, metadata: { name, ...known }, status };
}

/** Whether something is there that is to be there no longer. */
function hasMore(actual: ResourceStatus | undefined, wanted: WrittenStatus): boolean {
  const { conditions = [], address, hostKeys = [] } = actual ?? {};
  const vanishes = ({ type }: Condition): boolean => !wanted.conditions.some((condition) => condition.type === type);
  const keyVanishes = ({ name }: HostKeyStatus): boolean => wanted.hostKeys?.some((key) => key.name === name) !== true;
  return (address !== undefined && wanted.address === undefined) || conditions.some(vanishes) || hostKeys.some(keyVanishes);
}

export interface WrittenStatus extends StatusDetails {
  readonly conditions: readonly Condition[];
}

/** What others may have written into a status is no reason to fail: what is no condition of ours counts as absent. */
function readStatus(status: unknown): ResourceStatus | undefined {
  if (!isRecord(status)) return undefined;
  const { observedGeneration, conditions, address, deliveries, hostKeys } = status;
  return {
    ...(typeof observedGeneration === 'number' ? { observedGeneration } : {}),
    ...(Array.isArray(conditions) ? { conditions: conditions.filter(isCondition) } : {}),
    ...(typeof address === 'string' ? { address } : {}),
    ...(Array.isArray(hostKeys) ? { hostKeys: hostKeys.filter(isHostKeyStatus) } : {}),
    ...(isRouteDeliveries(deliveries) ? { deliveries } : {}),
  };
}
