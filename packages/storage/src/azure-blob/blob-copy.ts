import { setTimeout as sleep } from 'node:timers/promises';
import type { BlobClient, ContainerClient } from '@azure/storage-blob';
import { StoreError } from '@skiff/model/store-error';
import type { CommittedFile } from '../file-store.ts';

export interface BlobCopy {
  readonly container: ContainerClient;
  readonly source: { readonly name: string; readonly etag: string };
  readonly target: string;
  readonly conditions: { readonly ifMatch?: string; readonly ifNoneMatch?: string };
  readonly metadata: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** First pause between two looks at a copy that runs on in the background; doubles up to the second. */
const POLL_MS = 100;
const MAX_POLL_MS = 2000;

/**
 * Copy Blob inside one account: needs no authorisation of its own for the source, and is done when the call is answered
 * unless the service is busy or the blob large. A copy that is still running when `signal` ends runs on: calling it off
 * would leave an empty blob with the new metadata (REST docs, Abort Copy Blob).
 */
export async function copyBlob(copy: BlobCopy): Promise<CommittedFile> {
  const target = copy.container.getBlobClient(copy.target);
  // Only its first step is used, which sends the request: the SDK's own waiting cannot be ended.
  const poller = await target.beginCopyFromURL(copy.container.getBlobClient(copy.source.name).url, {
    conditions: copy.conditions,
    sourceConditions: { ifMatch: copy.source.etag },
    metadata: { ...copy.metadata },
    abortSignal: copy.signal,
  });
  const done = poller.getResult();
  if (done !== undefined) return { etag: done.etag ?? '', modifiedAt: done.lastModified ?? new Date(0) };
  const state = poller.getOperationState();
  return await waitForCopy(target, 'copyId' in state ? state.copyId : undefined, copy.signal);
}

async function waitForCopy(target: BlobClient, copyId: unknown, signal: AbortSignal): Promise<CommittedFile> {
  for (let pauseMs = POLL_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_POLL_MS)) {
    await sleep(pauseMs, undefined, { signal });
    const found = await target.getProperties({ abortSignal: signal });
    if (found.copyId !== copyId) throw new StoreError({ code: 'conflict', message: 'the target of a copy was replaced by another writer' });
    if (found.copyStatus === 'success') return { etag: found.etag ?? '', modifiedAt: found.lastModified ?? new Date(0) };
    if (found.copyStatus !== 'pending') throw new StoreError({ code: 'unavailable', message: 'a copy ended without success', vendorCode: found.copyStatus });
  }
}
