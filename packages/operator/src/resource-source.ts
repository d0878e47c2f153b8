import type { Condition, ResourceStatus } from '@skiff/model/condition';
import type { EventRoute } from '@skiff/model/event-route';
import type { ResourceKind } from '@skiff/model/object-meta';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { SftpUser } from '@skiff/model/sftp-user';
import type { Secret } from '@skiff/runtime/secret';

/** Names an object; says nothing of what happened to it. */
export interface ResourceRef<Kind extends string = ResourceKind> {
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
}

/** What a source tells of. A Secret counts: the rows of users are made of it. */
export type ChangedRef = ResourceRef<ResourceKind | 'Secret'>;

export type SecretLookup =
  | { readonly kind: 'found'; readonly value: Secret<string> }
  | { readonly kind: 'secretNotFound' }
  | { readonly kind: 'keyNotFound' }
  /** `hint` says what to run so that the Secret may be read. */
  | { readonly kind: 'accessNotGranted'; readonly hint: string };

/** Something that was done, for `kubectl describe` or the log. Never holds secret values. */
export interface ResourceEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** What a status holds beside its conditions. */
export type StatusDetails = Pick<ResourceStatus, 'address' | 'deliveries' | 'hostKeys'>;

/**
 * Where resources come from and where their status goes: the Kubernetes API or a folder of YAML. Level-based: the lists are
 * the truth, and a change is told by its key only, so a lost or doubled notice does no harm.
 */
export interface ResourceSource {
  /**
   * Returns once the lists hold everything that is there now.
   * @throws when `signal` aborts before that.
   */
  start(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
  endpoints(): readonly SftpEndpoint[];
  users(): readonly SftpUser[];
  routes(): readonly EventRoute[];
  /** True while an object that is missing from the lists may be there all the same, since a part of the source cannot be read. */
  mayExist(ref: ResourceRef): boolean;
  /** Calls back with the key of each object that appeared, changed or went. Returns the way to unsubscribe. */
  subscribe(listener: (changed: ChangedRef) => void): () => void;
  /** @throws {StoreError} when the answer is not known now; the caller keeps what it has and tries again. */
  secretValue(namespace: string, name: string, key: string): Promise<SecretLookup>;
  /** The status last written, also by an earlier process. */
  status(ref: ResourceRef): ResourceStatus | undefined;
  /**
   * Replaces all conditions, and what stands beside them; `deliveries` and `hostKeys` that are not given stay. An object that has gone
   * meanwhile is no error. @throws {StoreError} when it cannot be written now.
   */
  writeStatus(ref: ResourceRef, conditions: readonly Condition[], details?: StatusDetails): Promise<void>;
  /** Labels of a namespace, for endpoints that admit others by a selector. Absent: the source knows nothing of namespaces but their names. */
  namespaceLabels?(namespace: string): Readonly<Record<string, string>> | undefined;
  /** Best effort: never throws. */
  recordEvent(ref: ResourceRef, event: ResourceEvent): void;
}

/** `SftpUser/namespace/name`: one string per object, for maps and logs. */
export function refKey(ref: ResourceRef<string>): string {
  return `${ref.kind}/${ref.namespace}/${ref.name}`;
}

export function refOf<Kind extends ResourceKind>(resource: {
  readonly kind: Kind;
  readonly metadata: { readonly namespace: string; readonly name: string };
}): ResourceRef<Kind> {
  return { kind: resource.kind, namespace: resource.metadata.namespace, name: resource.metadata.name };
}

/** Takes a `namespace/name` apart; neither part can hold a slash. */
export function refFromKey<Kind extends ResourceKind>(kind: Kind, key: string): ResourceRef<Kind> {
  const slash = key.indexOf('/');
  return { kind, namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** What a translation asks for labels; undefined where the source knows none. */
export function namespaceLabelsOf(
  source: Pick<ResourceSource, 'namespaceLabels'>,
): ((namespace: string) => Readonly<Record<string, string>> | undefined) | undefined {
  return source.namespaceLabels === undefined ? undefined : (namespace) => source.namespaceLabels?.(namespace);
}
