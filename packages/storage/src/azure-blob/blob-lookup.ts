import { StoreError } from '@skiff/model/store-error';
import type { StoredFile } from '../file-store.ts';
import { isDirectoryMarker } from '../metadata.ts';
import type { BlobRequests, BlobResponse } from './blob-requests.ts';
import { committedFile, MAX_EMPTY_ANSWER_BYTES, type Transfer } from './blob-transfers.ts';

const MAX_ANSWER_BYTES = 64 * 1024;
/** A page without an item and with a continuation is legal; more of them in a row than this is a fault. */
const MAX_EMPTY_PAGES = 100;
const METADATA_HEADER = 'x-ms-meta-';

/** Get Blob Properties. @throws {StoreError} `notFound` */
export async function blobProperties(requests: BlobRequests, transfer: Transfer): Promise<BlobResponse['headers']> {
  const { headers } = await requests.send({
    ...transfer,
    operation: 'Get Blob Properties',
    method: 'HEAD',
    repeatable: true,
    accepted: [200],
    maxResponseBytes: MAX_EMPTY_ANSWER_BYTES,
  });
  return headers;
}

/** The file, as it is committed. @throws {StoreError} `notFound`; `unavailable` while it is the target of a copy that runs */
export async function headBlob(requests: BlobRequests, transfer: Transfer): Promise<StoredFile> {
  const headers = await blobProperties(requests, transfer);
  const copyStatus = headers['x-ms-copy-status'];
  // The target of a copy that runs or failed is an empty blob with its final metadata: those must prove nothing.
  if (copyStatus === 'pending') throw new StoreError({ code: 'unavailable', message: 'the file is being copied', vendorCode: 'PendingCopyOperation' });
  const metadata = copyStatus === undefined || copyStatus === 'success' ? metadataOf(headers) : {};
  const sizeBytes = Number(headers['content-length'] ?? 0);
  return { isDirectory: isDirectoryMarker(metadata), sizeBytes, metadata, ...committedFile(headers.etag, headers['last-modified']) };
}

function metadataOf(headers: Readonly<Record<string, string | readonly string[] | undefined>>): Record<string, string> {
  const entries = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    name.startsWith(METADATA_HEADER) && typeof value === 'string' ? [[name.slice(METADATA_HEADER.length), value]] : [],
  );
  return Object.fromEntries(entries);
}

/** List Blobs, asked for one item: true when something lies below the directory. `transfer` is to the container. */
export async function hasChildren(requests: BlobRequests, transfer: Transfer, directory: string): Promise<boolean> {
  const query = { comp: 'list', restype: 'container', prefix: `${directory}/`, maxresults: '1' };
  let marker: string | undefined;
  for (let page = 0; page < MAX_EMPTY_PAGES; page++) {
    const answer = await requests.send({
      ...transfer,
      operation: 'List Blobs',
      method: 'GET',
      query: marker === undefined ? query : { ...query, marker },
      repeatable: true,
      accepted: [200],
      maxResponseBytes: MAX_ANSWER_BYTES,
    });
    const xml = Buffer.concat(answer.parts).toString();
    if (!xml.includes('</EnumerationResults>')) throw notAListing();
    // Names are escaped: nothing but an item is written like this.
    if (xml.includes('<Blob>')) return true;
    marker = /<NextMarker>([^<]+)<\/NextMarker>/.exec(xml)?.[1]?.replaceAll(/&(amp|lt|gt|quot|apos);/g, (_, entity: string) => ENTITIES[entity] ?? '');
    if (marker === undefined) return false;
  }
  throw new StoreError({ code: 'unavailable', message: 'List Blobs gives empty pages without an end' });
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

// A proxy in between may answer with a page of its own.
function notAListing(): StoreError {
  return new StoreError({ code: 'unavailable', message: 'the answer to List Blobs is not a listing', vendorCode: 'NotAListing' });
}
