import { StoreError } from '@skiff/model/store-error';
import { type BlockRef, type OperationId, UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import type { CommittedFile, Content, FileStore } from '@skiff/storage/file-store';
import { conditionOf } from '../operations/condition-of.ts';
import type { Effect } from '../operations/finish.ts';

export interface UploadEffectProps {
  readonly store: FileStore;
  readonly id: OperationId;
  readonly name: BlobName;
  readonly blocks: readonly BlockRef[];
  /** Given for a single put, whose bytes only the living owner has. */
  readonly content?: Content;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Makes the file appear, whole. Repeatable: an earlier attempt that went through unnoticed is recognised by its id. */
export async function commitUpload(props: UploadEffectProps, priorEtag: string | null, signal: AbortSignal): Promise<Effect> {
  try {
    const { etag } = await write(props, priorEtag, signal);
    return { kind: 'done', etag };
  } catch (error) {
    if (!(error instanceof StoreError) || (error.code !== 'conflict' && error.code !== 'alreadyExists' && error.code !== 'invalid')) throw error;
    const present = await props.store.stat(props.name, signal);
    if (present?.metadata[UPLOAD_METADATA_KEY] === props.id) return { kind: 'done', etag: present.etag };
    if (error.code === 'invalid') return { kind: 'impossible', reason: 'the staged parts of the file are gone; send it again' };
    if (present?.isDirectory === true) return { kind: 'impossible', reason: 'a directory of this name exists' };
    return { kind: 'changed', etag: present?.etag ?? null };
  }
}

function write(props: UploadEffectProps, priorEtag: string | null, signal: AbortSignal): Promise<CommittedFile> {
  const options = { condition: conditionOf(priorEtag), metadata: props.metadata, signal };
  return props.content === undefined ? props.store.commitBlocks(props.name, props.blocks, options) : props.store.put(props.name, props.content, options);
}
