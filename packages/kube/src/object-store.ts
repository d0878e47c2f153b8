import { type KubeObject, keyOf } from './kube-object.ts';

/** Values under which an object is found in an index; none: it is not in it. */
export type IndexFunction = (object: KubeObject) => readonly string[];

/**
 * The objects that an informer knows, by key, by namespace and by the given indices. Objects are shared and must not be
 * changed. Its size is the number of objects in the cluster: the API server's quota is the bound.
 */
export class ObjectStore {
  readonly #objects = new Map<string, KubeObject>();
  readonly #indices: ReadonlyMap<string, { readonly valuesOf: IndexFunction; readonly keys: Map<string, Set<string>> }>;

  constructor(indices: Readonly<Record<string, IndexFunction>> = {}) {
    const all = { ...indices, [BY_NAMESPACE]: (object: KubeObject) => (object.metadata.namespace === undefined ? [] : [object.metadata.namespace]) };
    this.#indices = new Map(Object.entries(all).map(([name, valuesOf]) => [name, { valuesOf, keys: new Map<string, Set<string>>() }]));
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): KubeObject | undefined {
    return this.#objects.get(key);
  }

  keys(): readonly string[] {
    return [...this.#objects.keys()];
  }

  list(): readonly KubeObject[] {
    return [...this.#objects.values()];
  }

  byNamespace(namespace: string): readonly KubeObject[] {
    return this.byIndex(BY_NAMESPACE, namespace);
  }

  /** @throws {RangeError} for an index that was not given to the constructor. */
  byIndex(index: string, value: string): readonly KubeObject[] {
    const found = this.#indices.get(index);
    if (found === undefined) throw new RangeError(`no index ${index}`);
    const objects: KubeObject[] = [];
    for (const key of found.keys.get(value) ?? []) {
      const object = this.#objects.get(key);
      if (object !== undefined) objects.push(object);
    }
    return objects;
  }

  /** True when the store changed: not for the same version of the same object. */
  set(object: KubeObject): boolean {
    const key = keyOf(object.metadata);
    const before = this.#objects.get(key);
    const { uid, resourceVersion } = object.metadata;
    if (before !== undefined && resourceVersion !== undefined && before.metadata.resourceVersion === resourceVersion && before.metadata.uid === uid)
      return false;
    if (before !== undefined) this.#unindex(key, before);
    this.#objects.set(key, object);
    for (const { valuesOf, keys } of this.#indices.values()) {
      for (const value of valuesOf(object)) {
        const set = keys.get(value);
        if (set === undefined) keys.set(value, new Set([key]));
        else set.add(key);
      }
    }
    return true;
  }

  delete(key: string): boolean {
    const before = this.#objects.get(key);
    if (before === undefined) return false;
    this.#unindex(key, before);
    return this.#objects.delete(key);
  }

  #unindex(key: string, object: KubeObject): void {
    for (const { valuesOf, keys } of this.#indices.values()) {
      for (const value of valuesOf(object)) {
        const set = keys.get(value);
        set?.delete(key);
        if (set?.size === 0) keys.delete(value);
      }
    }
  }
}

const BY_NAMESPACE = 'skiff:namespace';
