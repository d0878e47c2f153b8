import { StoreError } from '@skiff/model/store-error';
import { type OperationId, UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import type { Failpoints } from '@skiff/runtime/failpoint';
import type { CommittedFile, FileStore, StoredFile, WriteCondition } from '@skiff/storage/file-store';

export interface MoveProps {
  readonly store: FileStore;
  /** Of the directory rename: every target carries it. */
  readonly id: OperationId;
  readonly source: BlobName;
  readonly target: BlobName;
  readonly failpoints: Failpoints;
  readonly signal: AbortSignal;
  /**
   * Whether the operation is still the caller's, asked each time after it has looked at the source: what it has seen was there
   * under the lock then, and is no new file that somebody has put there after another process had finished the rename.
   */
  readonly owned: () => boolean;
}

/**
 * `gone`: there is nothing at the source. `kept`: it stays there, because its new name is taken or the store does not let it go.
 * `displaced`: the operation is somebody else's.
 */
export type Moved = 'moved' | 'gone' | 'kept' | 'displaced';

/** The version of the source that a copy was made of. */
const SOURCE_METADATA_KEY = 'skiff_source';

/** Every round needs somebody else who changes the file in between. */
const MAX_ROUNDS = 5;

/**
 * Moves one file of a directory that is being renamed: copy, then removal of the very version that was copied. May be done again by
 * anybody at any point, and beside somebody who should have stopped: nothing is copied once its source is gone, and only
 * a copy of this very operation is written over. Transient failures are thrown.
 */
export async function moveFile(props: MoveProps): Promise<Moved> {
  const { store, source, target, signal } = props;
  let copied: CommittedFile | undefined;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const present = await store.stat(source, signal);
    if (present === undefined || present.isDirectory) return 'gone';
    if (!props.owned()) return 'displaced';
    const copy = await copyOnce(props, present, copied);
    if (copy === 'taken') return 'kept';
    copied = copy ?? copied;
    if (copy === undefined) continue;
    await props.failpoints.hit('renamedir.copied');
    if (await removed(store.remove(source, { etag: present.etag, signal }))) {
      await props.failpoints.hit('renamedir.sourceRemoved');
      return 'moved';
    }
  }
  if (!props.owned()) return 'displaced';
  // Somebody keeps changing the source, or holds it: it is there, and there must not be two of it.
  if (copied !== undefined) await removed(store.remove(target, { etag: copied.etag, signal }));
  return 'kept';
}

/** `undefined`: another round. `taken`: something else has the new name, or the store refuses to write this file again. */
async function copyOnce(props: MoveProps, present: StoredFile, before: CommittedFile | undefined): Promise<CommittedFile | 'taken' | undefined> {
  const { store, id, source, target, signal } = props;
  const metadata = { ...present.metadata, [UPLOAD_METADATA_KEY]: id, [SOURCE_METADATA_KEY]: present.etag };
  const copy = (condition: WriteCondition) => attempt(store.copy({ name: source, etag: present.etag }, target, { condition, metadata, signal }));
  const copied = await copy(before === undefined ? { kind: 'absent' } : { kind: 'etag', etag: before.etag });
  if (copied === 'refused') return 'taken';
  if (copied !== undefined) return copied;
  const there = await store.stat(target, signal);
  if (there === undefined) return undefined;
  if (there.isDirectory || there.metadata[UPLOAD_METADATA_KEY] !== id) return 'taken';
  // A copy by somebody who did not get to the removal; of another version it is written again.
  if (there.metadata[SOURCE_METADATA_KEY] === present.etag) return there;
  const repeated = await copy({ kind: 'etag', etag: there.etag });
  return repeated === 'refused' ? 'taken' : repeated;
}

/** Moves the marker of a directory whose files have gone. One that is there already at the new name is as good. */
export async function moveMarker(props: MoveProps): Promise<Moved> {
  const { store, id, source, target, signal } = props;
  const present = await store.stat(source, signal);
  if (present === undefined || !present.isDirectory || present.etag === '') return 'gone';
  if (!props.owned()) return 'displaced';
  const metadata = { ...present.metadata, [UPLOAD_METADATA_KEY]: id };
  const copied = await attempt(store.copy({ name: source, etag: present.etag }, target, { condition: { kind: 'absent' }, metadata, signal }));
  if (copied === 'refused') return 'kept';
  if (copied === undefined) {
    const there = await store.stat(target, signal);
    if (there === undefined || !there.isDirectory || there.etag === '') return 'kept';
  }
  await props.failpoints.hit('renamedir.markerMoved');
  return (await removed(store.remove(source, { etag: present.etag, signal }))) ? 'moved' : 'kept';
}

/** `undefined`: a condition did not hold. `refused`: it never will be done. */
async function attempt(copying: Promise<CommittedFile>): Promise<CommittedFile | 'refused' | undefined> {
  try {
    return await copying;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (error.code === 'conflict' || error.code === 'alreadyExists' || error.code === 'notFound') return undefined;
    if (error.code === 'invalid' || error.code === 'unsupported') return 'refused';
    throw error;
  }
}

/** False: another version is there. That it was gone already is as good: this operation, or an application, has been faster. */
async function removed(removing: Promise<void>): Promise<boolean> {
  try {
    await removing;
    return true;
  } catch (error) {
    if (!(error instanceof StoreError) || (error.code !== 'notFound' && error.code !== 'conflict')) throw error;
    return error.code === 'notFound';
  }
}
