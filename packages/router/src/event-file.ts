import type { EventFile, OpenEventFile } from '@skiff/messaging/delivery-target';
import type { FileEvent } from '@skiff/model/file-event';
import { StoreError } from '@skiff/model/store-error';
import { type BlobName, PathError, parseVirtualPath, toBlobName, toJail } from '@skiff/model/virtual-path';

/** What is needed of a `FileStore`: its `container`, `stat` and `read`. */
export interface FileReader {
  readonly container: string;
  stat(name: BlobName, signal: AbortSignal): Promise<{ readonly isDirectory: boolean; readonly sizeBytes: number; readonly etag: string } | undefined>;
  read(name: BlobName, range: { readonly offset: number; readonly length: number; readonly etag: string }, signal: AbortSignal): Promise<readonly Buffer[]>;
}

/** One read; two are held at a time, one on its way out and one on its way in. */
const RANGE_BYTES = 1024 * 1024;

/**
 * Opens the files that events tell of, in the version that they tell of: the ETag of the event, or of the file as it is where the event
 * has none (then its size must be the event's).
 */
export function createEventFileOpener(store: FileReader): OpenEventFile {
  return async (event, signal) => {
    const { blob, sizeBytes } = event.data;
    if (blob.container !== store.container) throw new StoreError({ code: 'notFound', message: 'the file is in a container that this router does not read' });
    const name = blobNameOf(event);
    const stored = await store.stat(name, signal);
    if (stored === undefined || stored.isDirectory) throw new StoreError({ code: 'notFound', message: 'the file is no longer there' });
    const same = blob.etag === undefined ? stored.sizeBytes === sizeBytes : stored.etag === blob.etag;
    if (!same) throw new StoreError({ code: 'conflict', message: 'the file has another version now' });
    const file = { sizeBytes: stored.sizeBytes, etag: stored.etag };
    return { ...file, content: contentOf(store, name, file, signal) };
  };
}

/** @throws {StoreError} `notFound` for what no file of ours can be called. */
function blobNameOf({ data }: FileEvent): BlobName {
  const { name } = data.blob;
  try {
    const blobName = toBlobName(toJail('', ''), parseVirtualPath(`/${name}`));
    if (blobName === name) return blobName;
  } catch (cause) {
    if (!(cause instanceof PathError)) throw cause;
    throw new StoreError({ code: 'notFound', message: 'the event names a file that cannot be', cause });
  }
  throw new StoreError({ code: 'notFound', message: 'the event names a file that cannot be' });
}

async function* contentOf(store: FileReader, name: BlobName, { sizeBytes, etag }: Omit<EventFile, 'content'>, signal: AbortSignal): AsyncGenerator<Buffer> {
  const readAt = (offset: number): Promise<readonly Buffer[]> => {
    const reading = store.read(name, { offset, length: Math.min(RANGE_BYTES, sizeBytes - offset), etag }, signal);
    // Whoever stops in the middle never asks for the read that is under way.
    reading.catch(() => undefined);
    return reading;
  };
  let next = sizeBytes > 0 ? readAt(0) : undefined;
  for (let offset = 0; next !== undefined; ) {
    const parts = await next;
    offset += parts.reduce((sum, part) => sum + part.length, 0);
    const expected = Math.min(sizeBytes, Math.ceil(offset / RANGE_BYTES) * RANGE_BYTES);
    if (offset === 0 || offset !== expected) throw new StoreError({ code: 'unavailable', message: 'the store gave fewer bytes than the file has' });
    next = offset < sizeBytes ? readAt(offset) : undefined;
    yield* parts;
  }
}
