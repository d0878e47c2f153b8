import type { Clock as KubeClock } from '@skiff/kube/clock';
import type { KubeClient } from '@skiff/kube/kube-client';
import { type BackgroundTask, startBackgroundTask } from '@skiff/runtime/background-task';
import type { Logger } from '@skiff/runtime/logger';
import type { SecretLookup } from '../resource-source.ts';
import { SecretNamespace } from './secret-namespace.ts';

export interface SecretReaderProps {
  readonly client: KubeClient;
  /** Of the operator, for the command that lets it in. */
  readonly serviceAccount: { readonly namespace: string; readonly name: string };
  /** Names of the Secrets of a namespace that users and routes refer to. */
  readonly referenced: (namespace: string) => ReadonlySet<string>;
  readonly onChange: (namespace: string, name: string) => void;
  readonly clock: KubeClock;
  readonly random: () => number;
  readonly logger: Logger;
}

/** A binding that was made, or removed, is noticed within this time. */
const CHECK_EVERY_MS = 5_000;

/** Reads Secrets namespace by namespace, where a RoleBinding lets it. Nothing is ever asked for cluster-wide. */
export class SecretReader {
  readonly #props: SecretReaderProps;
  readonly #namespaces = new Map<string, SecretNamespace>();
  #checking: BackgroundTask | undefined;

  constructor(props: SecretReaderProps) {
    this.#props = props;
  }

  start(): void {
    const { logger } = this.#props;
    this.#checking = startBackgroundTask({ name: 'secret-access', intervalMs: CHECK_EVERY_MS, logger, run: () => this.#check() });
  }

  async stop(): Promise<void> {
    await this.#checking?.stop();
    await Promise.all([...this.#namespaces.values()].map((namespace) => namespace.close()));
  }

  /** @throws {KubeError} when it cannot be said now. */
  async value(namespace: string, name: string, key: string): Promise<SecretLookup> {
    const read = await this.#namespace(namespace).read(name);
    switch (read.kind) {
      case 'found': {
        const value = read.data.get(key);
        return value === undefined ? { kind: 'keyNotFound' } : { kind: 'found', value };
      }
      case 'notFound':
        return { kind: 'secretNotFound' };
      case 'accessNotGranted':
        return { kind: 'accessNotGranted', hint: this.#hint(namespace) };
    }
  }

  #hint(namespace: string): string {
    const { serviceAccount } = this.#props;
    return `run: kubectl create rolebinding skiff-secret-reader --clusterrole=skiff-secret-reader --serviceaccount=${serviceAccount.namespace}:${serviceAccount.name} -n ${namespace}`;
  }

  #namespace(name: string): SecretNamespace {
    const known = this.#namespaces.get(name);
    if (known !== undefined) return known;
    const { client, referenced, onChange, clock, random, logger } = this.#props;
    const opened = new SecretNamespace({
      client,
      namespace: name,
      isReferenced: (secret) => referenced(name).has(secret),
      onChange: (secret) => {
        for (const changed of secret === undefined ? referenced(name) : [secret]) onChange(name, changed);
      },
      clock,
      random,
      logger,
    });
    this.#namespaces.set(name, opened);
    return opened;
  }

  async #check(): Promise<void> {
    for (const [name, namespace] of this.#namespaces) {
      if (referencedNothing(this.#props.referenced(name))) {
        this.#namespaces.delete(name);
        await namespace.close();
      } else await namespace.check();
    }
  }
}

function referencedNothing(names: ReadonlySet<string>): boolean {
  return names.size === 0;
}
