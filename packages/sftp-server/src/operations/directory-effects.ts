import { StoreError } from '@skiff/model/store-error';
import { type OperationId, UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import type { FileStore } from '@skiff/storage/file-store';
import type { Effect, FinishProps } from './finish.ts';

export interface DirectoryEffectProps {
  readonly store: FileStore;
  readonly id: OperationId;
  readonly name: BlobName;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Makes an explicit, empty directory. */
export function makeDirectoryEffect(props: DirectoryEffectProps): FinishProps['attempt'] {
  return async (_priorEtag, signal): Promise<Effect> => {
    try {
      const made = await props.store.createDirectory(props.name, { condition: { kind: 'absent' }, metadata: props.metadata, signal });
      return { kind: 'done', etag: made.etag };
    } catch (error) {
      if (!(error instanceof StoreError) || (error.code !== 'conflict' && error.code !== 'alreadyExists')) throw error;
      const present = await props.store.stat(props.name, signal);
      if (present?.metadata[UPLOAD_METADATA_KEY] === props.id) return { kind: 'done', etag: present.etag };
      return { kind: 'impossible', reason: 'the name exists already' };
    }
  };
}

/** Removes an empty directory. A directory that exists only through what lies in it cannot be empty. */
export function removeDirectoryEffect(props: { readonly store: FileStore; readonly name: BlobName; readonly replay: boolean }): FinishProps['attempt'] {
  let attempts = 0;
  return async (priorEtag, signal): Promise<Effect> => {
    const mayHaveHappened = props.replay || attempts++ > 0;
    for await (const page of props.store.list(props.name, signal)) {
      if (page.length > 0) return { kind: 'impossible', reason: 'the directory is not empty' };
    }
    try {
      // This very marker: a request that comes late must not remove a directory that was made again.
      await props.store.remove(props.name, { ...(priorEtag === null || priorEtag === '' ? {} : { etag: priorEtag }), signal });
      return { kind: 'done', etag: undefined };
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.code === 'conflict') return { kind: 'impossible', reason: 'the directory was made again meanwhile' };
      if (error.code !== 'notFound') throw error;
      return mayHaveHappened ? { kind: 'done', etag: undefined, unconfirmed: true } : { kind: 'impossible', reason: 'the directory was removed meanwhile' };
    }
  };
}
