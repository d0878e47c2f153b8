import { type OperationId, UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import type { FileStore } from '@skiff/storage/file-store';
import type { Effect } from '../operations/finish.ts';

/** The bytes of a single put died with its process: either they had reached the store, or the upload never was. */
export async function findSinglePut(store: FileStore, upload: { readonly id: OperationId; readonly name: BlobName }, signal: AbortSignal): Promise<Effect> {
  const present = await store.stat(upload.name, signal);
  if (present?.metadata[UPLOAD_METADATA_KEY] === upload.id) return { kind: 'done', etag: present.etag };
  return { kind: 'impossible', reason: 'the server ended before the file had reached the storage; send it again' };
}
