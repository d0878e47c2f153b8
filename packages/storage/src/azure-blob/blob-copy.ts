import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError } from '@skiff/model/store-error';
import { withDeadline } from '../deadline.ts';
import type { CommittedFile } from '../file-store.ts';
import type { Metadata } from '../metadata.ts';
import { blobProperties } from './blob-lookup.ts';
import type { BlobRequests } from './blob-requests.ts';
import { type BlobConditions, committedFile, conditionHeaders, MAX_EMPTY_ANSWER_BYTES, metadataHeaders, type Transfer } from './blob-transfers.ts';

export interface BlobCopy {
  /** Address of the source, percent-encoded, without credentials. */
  readonly sourceUrl: string;
  readonly sourceEtag: string;
  readonly conditions: BlobConditions;
  readonly metadata: Metadata;
}

/** First pause between two looks at a copy that runs on in the background; doubles up to the second. */
const POLL_MS = 100;
const MAX_POLL_MS = 2000;

/**
 * Copy Blob inside one account: needs no authorisation of its own for the source, and is done when the call is answered
 * unless the service is busy or the blob large. `transfer` is to the target, its timeout that of the copy with the waiting for its end.
 * A copy that is still running then runs on: calling it off would leave an empty blob with the new metadata (REST docs, Abort Copy Blob).
 */
export async function copyBlob(requests: BlobRequests, transfer: Transfer, copy: BlobCopy): Promise<CommittedFile> {
  return await withDeadline(transfer.signal, transfer.timeoutMs, async (signal) => {
    const { headers } = await requests.send({
      ...transfer,
      signal,
      operation: 'Copy Blob',
      method: 'PUT',
      headers: {
        ...metadataHeaders(copy.metadata),
        ...conditionHeaders(copy.conditions),
        'x-ms-copy-source': copy.sourceUrl,
        'x-ms-source-if-match': copy.sourceEtag,
      },
      contentLength: 0,
      // As with Put Blob: its condition would refuse what it has made itself.
      repeatable: false,
      accepted: [202],
      maxResponseBytes: MAX_EMPTY_ANSWER_BYTES,
    });
    if (headers['x-ms-copy-status'] !== 'pending') return committedFile(headers.etag, headers['last-modified']);
    return await waitForCopy(requests, { ...transfer, signal }, headers['x-ms-copy-id']);
  });
}

async function waitForCopy(requests: BlobRequests, transfer: Transfer, copyId: unknown): Promise<CommittedFile> {
  for (let pauseMs = POLL_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_POLL_MS)) {
    await sleep(pauseMs, undefined, { signal: transfer.signal });
    const headers = await blobProperties(requests, transfer);
    const status = headers['x-ms-copy-status'];
    if (headers['x-ms-copy-id'] !== copyId) throw new StoreError({ code: 'conflict', message: 'the target of a copy was replaced by another writer' });
    if (status === 'success') return committedFile(headers.etag, headers['last-modified']);
    if (status !== 'pending') throw new StoreError({ code: 'unavailable', message: 'a copy ended without success', vendorCode: String(status) });
  }
}
