import type { KubeObject, ObjectRef } from './kube-object.ts';
import type { ResourceType } from './resource-type.ts';
import type { WatchEvent } from './watch-stream.ts';

/** Field manager of everything that Skiff applies. */
export const FIELD_MANAGER = 'skiff-operator';

export interface CallOptions {
  readonly signal: AbortSignal;
  /** Default 30 s. */
  readonly timeoutMs?: number;
}

export interface WriteOptions extends CallOptions {
  /** Asked just before the request is sent: throws when this process may write no longer. */
  readonly fence?: Fence | undefined;
}

export interface Fence {
  /** @throws {KubeError} `aborted` when the right to write is lost. */
  assertHeld(): void;
}

export interface ListQuery extends CallOptions {
  /** Absent: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface PageQuery extends ListQuery {
  /** Items per page; 0: all at once. */
  readonly limit: number;
  readonly continueToken?: string | undefined;
}

export interface KubePage {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
  /** Absent on the last page. */
  readonly continueToken: string | undefined;
}

export interface WatchQuery extends ListQuery {
  readonly resourceVersion: string;
  /** The server ends the watch after this time. */
  readonly watchTimeoutMs: number;
}

export interface ApplyOptions extends WriteOptions {
  /** Takes fields from other managers. Default true: a controller owns what it manages. */
  readonly force?: boolean;
}

export interface DeleteOptions extends WriteOptions {
  /** Refused with `conflict` when the object of this name is another one. */
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly propagation?: 'Foreground' | 'Background' | 'Orphan';
}

/** What an informer needs. */
export interface KubeReader {
  listPage(type: ResourceType, query: PageQuery): Promise<KubePage>;
  /** Resolves when the server has accepted the watch. The stream ends with the server's time limit; `close` ends it at once. */
  watch(type: ResourceType, query: WatchQuery): Promise<WatchStream>;
}

export interface WatchStream {
  readonly events: AsyncIterable<WatchEvent>;
  /** Makes the stream throw the error. */
  close(error: Error): void;
}

/** The API server's verbs. Every call ends by its timeout or signal; none is retried here. All throw {@link KubeError}. */
export interface KubeClient extends KubeReader {
  get(type: ResourceType, ref: ObjectRef, options: CallOptions): Promise<KubeObject>;
  /** `metadata.name` or `metadata.generateName` must be set. */
  create(type: ResourceType, object: Manifest, options: WriteOptions): Promise<KubeObject>;
  /** With `metadata.resourceVersion` it is refused with `conflict` when another writer was first. */
  replace(type: ResourceType, object: Manifest, options: WriteOptions): Promise<KubeObject>;
  /** Server-side apply as {@link FIELD_MANAGER}. The API server stores nothing when nothing differs. */
  apply(type: ResourceType, object: Manifest, options: ApplyOptions): Promise<KubeObject>;
  /** The same for the status subresource. */
  applyStatus(type: ResourceType, object: Manifest, options: ApplyOptions): Promise<KubeObject>;
  /** JSON merge patch (RFC 7396). */
  mergePatch(type: ResourceType, ref: ObjectRef, patch: Readonly<Record<string, unknown>>, options: WriteOptions): Promise<KubeObject>;
  /** Done when the server has taken the request: finalizers may keep the object for a while. */
  delete(type: ResourceType, ref: ObjectRef, options: DeleteOptions): Promise<void>;
  /** Body of any other path, such as `/version` or `/openid/v1/jwks`. */
  getRaw(path: string, options: CallOptions): Promise<string>;
  close(): void;
}

/** An object as it is sent: the server fills in the rest. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name?: string;
    readonly generateName?: string;
    readonly namespace?: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}
