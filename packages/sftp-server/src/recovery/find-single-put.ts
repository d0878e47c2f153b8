import { StoreError } from '@skiff/model/store-error';
import { type OperationId, UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import type { FileStore } from '@skiff/storage/file-store';
import type { Effect } from '../operations/finish.ts';

/** Every round needs somebody else who changes the file in between. */
const MAX_ROUNDS = 5;

export interface SinglePut {
  readonly id: OperationId;
  readonly name: BlobName;
  /** The version that the lost request demands; `null`: none. */
  readonly priorEtag: string | null;
}

/**
 * The bytes of a single put died with its process: either they had reached the store, or the upload never was. A request that
 * demands the present version is fenced off by a new version of its metadata; one that demands that nothing be there cannot be,
 * so such an upload is looked for again later.
 */
export async function findSinglePut(store: FileStore, upload: SinglePut, signal: AbortSignal): Promise<Effect> {
  for (let round = 1; ; round++) {
    const present = await store.stat(upload.name, signal);
    if (present?.metadata[UPLOAD_METADATA_KEY] === upload.id) return { kind: 'done', etag: present.etag };
    if (present === undefined || present.etag !== upload.priorEtag) break;
    try {
      await store.setMetadata(upload.name, present.metadata, { etag: present.etag, signal });
      break;
    } catch (error) {
      if (!(error instanceof StoreError) || (error.code !== 'conflict' && error.code !== 'notFound') || round === MAX_ROUNDS) throw error;
    }
  }
  return { kind: 'impossible', reason: 'the server ended before the file had reached the storage; send it again' };
}
