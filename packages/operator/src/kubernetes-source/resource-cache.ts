import type { KubeObject } from '@skiff/kube/kube-object';
import type { ObjectStore } from '@skiff/kube/object-store';
import type { ResourceKind } from '@skiff/model/object-meta';
import { type ParsedResource, parseResource, type SftpResource } from '@skiff/model/parse-resource';

type OfKind<Kind extends ResourceKind> = Extract<SftpResource, { readonly kind: Kind }>;

interface Entry {
  readonly object: KubeObject;
  readonly parsed: ParsedResource;
}

/** The objects of one kind, parsed once per version. What cannot be parsed is known to exist and to be wrong. */
export class ResourceCache<Kind extends ResourceKind> {
  readonly #kind: Kind;
  readonly #store: ObjectStore;
  readonly #entries = new Map<string, Entry>();
  #list: readonly OfKind<Kind>[] | undefined;

  constructor(kind: Kind, store: ObjectStore) {
    this.#kind = kind;
    this.#store = store;
  }

  /** Takes over what the store has under `key`. True: something that a reconciler decides by has changed; a status has not. */
  refresh(key: string): boolean {
    const object = this.#store.get(key);
    const before = this.#entries.get(key);
    if (object === undefined) {
      this.#entries.delete(key);
      this.#list = undefined;
      return before !== undefined;
    }
    this.#entries.set(key, { object, parsed: parseResource(object) });
    this.#list = undefined;
    return before === undefined || isOtherVersion(before.object, object);
  }

  list(): readonly OfKind<Kind>[] {
    this.#list ??= [...this.#entries.values()].flatMap(({ parsed }) => (parsed.ok && isOfKind(parsed.resource, this.#kind) ? [parsed.resource] : []));
    return this.#list;
  }

  object(key: string): KubeObject | undefined {
    return this.#entries.get(key)?.object;
  }

  /** What is wrong with an object that exists and makes no sense; undefined: nothing, or there is none. */
  problemOf(key: string): string | undefined {
    const parsed = this.#entries.get(key)?.parsed;
    return parsed === undefined || parsed.ok ? undefined : parsed.errors.join('; ');
  }
}

function isOfKind<Kind extends ResourceKind>(resource: SftpResource, kind: Kind): resource is OfKind<Kind> {
  return resource.kind === kind;
}

/** The server counts `generation` up with every change of the spec and with the beginning of a deletion. */
function isOtherVersion(before: KubeObject, after: KubeObject): boolean {
  return before.metadata.uid !== after.metadata.uid || before.metadata.generation !== after.metadata.generation;
}
