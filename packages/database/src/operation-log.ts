import type { FileEvent } from '@skiff/model/file-event';
import type { BlockRef, InstanceId, OperationId, OperationKind, OperationState } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';

/** The event as it is known before the effect; `sequence` and the ETag are filled in by the log. */
export type PendingEvent = Omit<FileEvent, 'sequence'>;

/** What makes the effect repeatable by anybody: recovery runs exactly this. */
export interface CommitPlan {
  /** Uploads: the whole block list, in order; empty for a single put and for other operations. */
  readonly blocks: readonly BlockRef[];
  readonly sizeBytes: number;
  /** ETag that the effect requires of its target, `null` when nothing may be there. */
  readonly priorEtag: string | null;
  /** Renames: the version of the source that is moved. */
  readonly sourceEtag?: string;
  /** Metadata to write, complete. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly event: PendingEvent;
}

/** A mutating operation, recorded before it has any effect. */
export interface OperationIntent {
  readonly id: OperationId;
  readonly kind: OperationKind;
  readonly endpointId: number;
  readonly username: string;
  /** `FileStore.identity`. */
  readonly storage: string;
  readonly blobName: BlobName;
  /** Renames: where the file goes. */
  readonly targetBlobName?: BlobName;
  /** SHA-256 keys, all taken or none (`lockKeyOf`). */
  readonly lockKeys: readonly Buffer[];
  readonly owner: InstanceId;
  /** As in the plan; the row's own copy follows `setPriorEtag`, and recovery goes by it. */
  readonly priorEtag: string | null;
  /** Given: the row starts as `committing` (single put, remove, rename, mkdir, rmdir, renamedir, which keeps the event alone). Absent: as `open`. */
  readonly plan?: CommitPlan;
}

export interface OperationRow {
  readonly id: OperationId;
  readonly kind: OperationKind;
  readonly state: OperationState;
  readonly epoch: number;
  /** `null`: parked, anybody may go on with it. */
  readonly owner: InstanceId | null;
  readonly endpointId: number;
  readonly username: string;
  readonly storage: string;
  readonly blobName: BlobName;
  readonly targetBlobName: BlobName | null;
  readonly priorEtag: string | null;
  readonly plan: CommitPlan | null;
  readonly sequence: bigint | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export type BeginResult =
  | { readonly kind: 'begun'; readonly epoch: number; readonly sequence: bigint | null }
  | { readonly kind: 'locked'; readonly holder: OperationRow | undefined };

/** `gone`: somebody else has revived it, or its row was taken away. */
export type ReviveResult =
  | { readonly kind: 'revived'; readonly epoch: number }
  | { readonly kind: 'locked'; readonly holder: OperationRow | undefined }
  | { readonly kind: 'gone' };

/** How many committed events wait, since when the oldest does, and how many the bus has refused. */
export interface OutboxStatus {
  readonly waiting: number;
  readonly oldestAgeMs: number;
  readonly refused: number;
}

/** A row as one owner knows it; every transition compares both, so that a writer that was displaced can do no harm. */
export interface OperationRef {
  readonly id: OperationId;
  readonly epoch: number;
}

/**
 * The write-ahead rows of DESIGN P2 in MySQL: lock, resume record and outbox in turn. All methods fail with a `StoreError`
 * (`unavailable`, `throttled`) when the database does; calls of concurrent sessions share transactions (group commit).
 */
export interface OperationLog {
  /** Takes the locks and writes the row, or reports who holds one of them. */
  begin(intent: OperationIntent): Promise<BeginResult>;
  /** `open` → `committing`, with the plan and a sequence drawn under the lock. `undefined`: displaced. */
  committing(ref: OperationRef, plan: CommitPlan): Promise<{ readonly sequence: bigint } | undefined>;
  /**
   * `committing` → `committed`; releases the locks. The event becomes publishable; unless the log is made otherwise, the caller's
   * instance has it to itself for the first seconds. Returns the finished event, or `undefined` when displaced. Idempotent for the same ref. `unannounced`:
   * nobody wants the event, the row goes straight on to `published`.
   */
  committed(ref: OperationRef, result: CommitResult): Promise<FileEvent | undefined>;
  /** `committed` → `published`. */
  published(ids: readonly OperationId[]): Promise<void>;
  /**
   * `open` or `committing` → `aborted`, with the reason; releases the locks. False: displaced. `lookAgain`: a request that was
   * sent may still reach the store; the operation then comes up in {@link findLooks} for an hour.
   */
  abort(ref: OperationRef, reason: string, options?: { readonly lookAgain?: boolean }): Promise<boolean>;
  /** Aborted operations of one endpoint that are due for a look. */
  findLooks(endpointId: number, limit: number): Promise<readonly OperationRow[]>;
  /** Looked, and not found: the next look is later, and after an hour there is none. */
  looked(id: OperationId): Promise<void>;
  /** `aborted` → `committing` for an operation whose effect came late: takes its locks and a fresh sequence. */
  revive(row: OperationRow, owner: InstanceId): Promise<ReviveResult>;
  /** Gives the row up: `owner` becomes null, whoever needs it goes on. False: displaced. */
  park(ref: OperationRef): Promise<boolean>;
  /** Takes a row over: bumps the epoch from `ref.epoch`, sets the owner. `undefined`: somebody else was faster. */
  adopt(ref: OperationRef, owner: InstanceId): Promise<OperationRef | undefined>;
  /** Replaces the ETag that the effect will require (the lock holder wins over outside tools). False: displaced. */
  setPriorEtag(ref: OperationRef, etag: string | null): Promise<boolean>;
  /**
   * Directory renames: writes down that files are being moved, and how many were so far. Before the first one is; from then on the
   * operation is carried through by whoever has it. False: displaced.
   */
  advanceRename(ref: OperationRef, movedFiles: number): Promise<boolean>;
  /** Directory renames: files moved so far; `undefined` as long as none may have been. */
  movedFiles(id: OperationId): Promise<number | undefined>;
  find(id: OperationId): Promise<OperationRow | undefined>;
  /** The unfinished operation that holds a lock. */
  findByLock(lockKey: Buffer): Promise<OperationRow | undefined>;
  /**
   * Unfinished rows (`open`, `committing`) of one endpoint whose owner is null or not among `live`, oldest first; parked `open`
   * rows, which only wait for their user, come after all others.
   */
  findOrphans(endpointId: number, live: readonly InstanceId[], limit: number): Promise<readonly OperationRow[]>;
  /** The unfinished operations that hold any of these locks. */
  findByLocks(lockKeys: readonly Buffer[]): Promise<readonly OperationRow[]>;
  /** Unfinished operations that hold a name below a directory, of whichever endpoint. */
  findBelow(storage: string, directory: BlobName, limit: number): Promise<readonly OperationRow[]>;
  /** `open` uploads of one user, oldest first. */
  findOpenUploads(endpointId: number, username: string, limit: number): Promise<readonly OperationRow[]>;
  /** Parked (`owner` null) `open` rows of one endpoint not touched for this long, oldest first. */
  findExpiredOpen(endpointId: number, age: { readonly newFileMs: number; readonly overwriteMs: number }, limit: number): Promise<readonly OperationRow[]>;
  /** Claims `committed` rows of one endpoint for publishing for a few seconds, in `sequence` order, skipping what others have claimed. */
  claimPublishable(endpointId: number, owner: InstanceId, limit: number): Promise<readonly { readonly id: OperationId; readonly event: FileEvent }[]>;
  /**
   * Claims, likewise, only the lowest unpublished of each path, for strict order. What the owner has claimed already may be among it: the
   * caller makes one call at a time and has done with what it got before.
   */
  claimLowestOfPaths(endpointId: number, owner: InstanceId, limit: number): Promise<readonly { readonly id: OperationId; readonly event: FileEvent }[]>;
  /** Gives claimed rows back at once, for when the bus refused them. */
  releasePublishable(ids: readonly OperationId[]): Promise<void>;
  /** `committed` → `refused`, with the broker's reason: the queue does not take this event. Its row stays until it is readmitted. */
  refused(events: readonly { readonly id: OperationId; readonly reason: string }[]): Promise<void>;
  /** `refused` → `committed`: all of an endpoint are tried again. Returns how many. */
  readmitRefused(endpointId: number): Promise<number>;
  outboxStatus(endpointId: number): Promise<OutboxStatus>;
  /** Deletes finished rows older than this, a bounded batch at a time. Returns how many. */
  prune(finishedBeforeMs: number, limit: number): Promise<number>;
}

export interface CommitResult {
  readonly etag: string | undefined;
  readonly unconfirmed?: boolean;
  readonly unannounced?: boolean;
}

/** Living processes. The counter, not a time, tells that one is alive: clocks jump, counters do not. */
export interface InstanceRegistry {
  register(id: InstanceId, mode: string): Promise<void>;
  /** Raises the instance's counter. False: the row is gone, the instance has been declared dead. */
  renew(id: InstanceId): Promise<boolean>;
  list(): Promise<readonly { readonly id: InstanceId; readonly renewals: bigint }[]>;
  remove(id: InstanceId): Promise<void>;
}
