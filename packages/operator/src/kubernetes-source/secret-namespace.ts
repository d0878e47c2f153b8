import type { Clock as KubeClock } from '@skiff/kube/clock';
import { Informer } from '@skiff/kube/informer';
import type { KubeClient } from '@skiff/kube/kube-client';
import { isNotFound, KubeError } from '@skiff/kube/kube-error';
import { type KubeObject, keyOf } from '@skiff/kube/kube-object';
import { Secrets } from '@skiff/kube/resource-type';
import { isRecord } from '@skiff/model/is-record';
import type { Logger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';

export interface SecretNamespaceProps {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Whether a user or a route names it now: of no other Secret is more than the name kept. */
  readonly isReferenced: (name: string) => boolean;
  /** A Secret appeared, changed or went; undefined: any of them may have. */
  readonly onChange: (name: string | undefined) => void;
  readonly clock: KubeClock;
  readonly random: () => number;
  readonly logger: Logger;
}

export type SecretData = ReadonlyMap<string, Secret<string>>;
export type SecretRead = { readonly kind: 'found'; readonly data: SecretData } | { readonly kind: 'notFound' } | { readonly kind: 'accessNotGranted' };

const CALL_TIMEOUT_MS = 10_000;
const SYNC_TIMEOUT_MS = 20_000;
/** Helm keeps its releases in Secrets of a megabyte each; nobody's password is in there. */
const WITHOUT_HELM = 'type!=helm.sh/release.v1';

/**
 * The Secrets of one namespace that the operator has been let into: one watch, which tells of a new password at once and asks for
 * nothing meanwhile. Where it is not let in, it knocks again when {@link SecretNamespace.check} is called.
 */
export class SecretNamespace {
  readonly #props: SecretNamespaceProps;
  readonly #stop = new AbortController();
  readonly #data = new Map<string, SecretData>();
  #watch: { readonly informer: Informer; readonly stop: AbortController; readonly run: Promise<void> } | undefined;
  #entered: Promise<boolean> | undefined;

  constructor(props: SecretNamespaceProps) {
    this.#props = props;
  }

  /** @throws {KubeError} when it cannot be said now. */
  async read(name: string): Promise<SecretRead> {
    this.#entered ??= this.#enter();
    if (!(await this.#settled(this.#entered))) return { kind: 'accessNotGranted' };
    const known = this.#data.get(name);
    if (known !== undefined) return { kind: 'found', data: known };
    return this.#readOne(name);
  }

  /** Knocks again where access was not granted, and notices that it was taken away. */
  async check(): Promise<void> {
    if (this.#entered === undefined) return;
    const wasIn = await this.#entered.catch(() => false);
    if (wasIn && this.#watch?.informer.status.watching === true) return;
    const isIn = await this.#mayRead();
    if (isIn === wasIn) return;
    if (!isIn) await this.#leave();
    this.#entered = isIn ? this.#enter() : Promise.resolve(false);
    await this.#settled(this.#entered);
    this.#props.onChange(undefined);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#watch?.run;
  }

  /** A failure is not remembered. */
  async #settled(entered: Promise<boolean>): Promise<boolean> {
    try {
      return await entered;
    } catch (error) {
      if (this.#entered === entered) this.#entered = undefined;
      throw error;
    }
  }

  async #enter(): Promise<boolean> {
    if (!(await this.#mayRead())) return false;
    const { client, namespace, clock, random, logger } = this.#props;
    const informer = new Informer({
      client,
      type: Secrets,
      namespace,
      fieldSelector: WITHOUT_HELM,
      keep: (object) => this.#keep(object),
      clock,
      random,
      logger,
    });
    informer.onKey((key) => this.#onKey(informer, key));
    const stop = new AbortController();
    const over = AbortSignal.any([this.#stop.signal, stop.signal]);
    this.#watch = { informer, stop, run: informer.run(over) };
    await informer.waitForSync(AbortSignal.any([over, AbortSignal.timeout(SYNC_TIMEOUT_MS)])).catch((cause: unknown) => {
      stop.abort();
      throw new KubeError({ code: 'unavailable', httpStatus: 0, message: `the Secrets of ${namespace} could not be listed in time`, cause });
    });
    return true;
  }

  /** Values that are no longer readable are no longer used. */
  async #leave(): Promise<void> {
    this.#data.clear();
    this.#watch?.stop.abort();
    await this.#watch?.run;
    this.#watch = undefined;
  }

  async #mayRead(): Promise<boolean> {
    const { client, namespace } = this.#props;
    try {
      await client.listPage(Secrets, { namespace, limit: 1, signal: this.#stop.signal, timeoutMs: CALL_TIMEOUT_MS });
      return true;
    } catch (error) {
      if (error instanceof KubeError && error.httpStatus === 403) return false;
      throw error;
    }
  }

  /** Named for the first time after the watch had begun, so that only its name was kept; or not there. */
  async #readOne(name: string): Promise<SecretRead> {
    const { client, namespace } = this.#props;
    if (this.#watch?.informer.store.get(keyOf({ namespace, name })) === undefined) return { kind: 'notFound' };
    try {
      const data = dataOf(await client.get(Secrets, { namespace, name }, { signal: this.#stop.signal, timeoutMs: CALL_TIMEOUT_MS }));
      // The watch may have been faster, and then it is newer.
      const told = this.#data.get(name);
      if (told === undefined) this.#data.set(name, data);
      return { kind: 'found', data: told ?? data };
    } catch (error) {
      if (isNotFound(error)) return { kind: 'notFound' };
      throw error;
    }
  }

  #keep(object: KubeObject): KubeObject {
    const { name, namespace, uid, resourceVersion } = object.metadata;
    if (this.#props.isReferenced(name)) this.#data.set(name, dataOf(object));
    else this.#data.delete(name);
    const metadata = { name, ...(namespace === undefined ? {} : { namespace }), ...(uid === undefined ? {} : { uid }) };
    return { apiVersion: object.apiVersion, kind: object.kind, metadata: { ...metadata, ...(resourceVersion === undefined ? {} : { resourceVersion }) } };
  }

  #onKey(informer: Informer, key: string): void {
    const name = key.slice(key.indexOf('/') + 1);
    if (informer.store.get(key) === undefined) this.#data.delete(name);
    if (informer.hasSynced) this.#props.onChange(name);
  }
}

function dataOf(object: KubeObject): SecretData {
  const data = isRecord(object.data) ? object.data : {};
  return new Map(
    Object.entries(data).flatMap(([key, value]) => (typeof value === 'string' ? [[key, new Secret(Buffer.from(value, 'base64').toString('utf8'))]] : [])),
  );
}
