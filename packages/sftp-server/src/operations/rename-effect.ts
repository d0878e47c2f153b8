import { StoreError } from '@skiff/model/store-error';
import { type OperationId, UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import type { Failpoints } from '@skiff/runtime/failpoint';
import type { FileStore } from '@skiff/storage/file-store';
import { conditionOf } from './condition-of.ts';
import type { Effect, FinishProps } from './finish.ts';

export interface RenameEffectProps {
  readonly store: FileStore;
  readonly id: OperationId;
  readonly source: BlobName;
  readonly sourceEtag: string;
  readonly target: BlobName;
  readonly metadata: Readonly<Record<string, string>>;
  readonly failpoints: Failpoints;
}

/** Copies the file, then removes the source: the target appears whole, the source vanishes after. Done only when the target carries our id. */
export function renameEffect(props: RenameEffectProps): FinishProps['attempt'] {
  return async (priorEtag, signal): Promise<Effect> => {
    const etag = await copyOnce(props, priorEtag, signal);
    if (typeof etag !== 'string') return etag;
    await props.failpoints.hit('rename.copied');
    await removeSource(props, signal);
    await props.failpoints.hit('rename.sourceRemoved');
    return { kind: 'done', etag };
  };
}

/** The target's ETag, or why there is none. */
async function copyOnce(props: RenameEffectProps, priorEtag: string | null, signal: AbortSignal): Promise<string | Effect> {
  try {
    const source = { name: props.source, etag: props.sourceEtag };
    const copied = await props.store.copy(source, props.target, { condition: conditionOf(priorEtag), metadata: props.metadata, signal });
    return copied.etag;
  } catch (error) {
    if (!(error instanceof StoreError) || !['conflict', 'alreadyExists', 'notFound'].includes(error.code)) throw error;
    const target = await props.store.stat(props.target, signal);
    if (target?.metadata[UPLOAD_METADATA_KEY] === props.id) return target.etag;
    const source = await props.store.stat(props.source, signal);
    if (source?.etag !== props.sourceEtag) return { kind: 'impossible', reason: 'the file was changed or removed meanwhile' };
    if (target?.isDirectory === true) return { kind: 'impossible', reason: 'a directory of the new name exists' };
    return { kind: 'changed', etag: target?.etag ?? null };
  }
}

async function removeSource(props: RenameEffectProps, signal: AbortSignal): Promise<void> {
  try {
    await props.store.remove(props.source, { etag: props.sourceEtag, signal });
  } catch (error) {
    // Gone already, or replaced by an outside tool: then what stands there is not what was moved.
    if (!(error instanceof StoreError) || (error.code !== 'notFound' && error.code !== 'conflict')) throw error;
  }
}
