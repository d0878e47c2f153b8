import type { BlobItem, ContainerClient } from '@azure/storage-blob';
import type { BlobName } from '@skiff/model/virtual-path';
import type { Logger } from '@skiff/runtime/logger';
import { DirectoryPages } from '../directory-pages.ts';
import type { DirectoryEntry } from '../file-store.ts';
import { isDirectoryMarker, lowerCaseKeys } from '../metadata.ts';
import { callSdk } from './sdk-client.ts';

export interface Listing {
  readonly container: ContainerClient;
  readonly directory: BlobName;
  readonly pageSize: number;
  /** For each page. */
  readonly timeoutMs: number;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** The children of a directory. One call and one deadline per page, however long the reader takes over the last one. */
export async function* listDirectory(listing: Listing): AsyncIterable<readonly DirectoryEntry[]> {
  const prefix = listing.directory === '' ? '' : `${listing.directory}/`;
  const pages = new DirectoryPages();
  let continuationToken: string | undefined;
  do {
    const page = await fetchPage(listing, prefix, continuationToken);
    yield pages.next({ blobs: page.blobs.map((item) => entryOf(item, prefix)), prefixes: page.prefixes.map((name) => name.slice(prefix.length, -1)) });
    continuationToken = page.continuationToken;
  } while (continuationToken !== undefined);
  if (pages.skipped > 0) {
    listing.logger.warn({ directory: listing.directory, skipped: pages.skipped }, 'blobs were left out of a listing because their names cannot be paths');
  }
}

interface Page {
  readonly blobs: readonly BlobItem[];
  readonly prefixes: readonly string[];
  readonly continuationToken: string | undefined;
}

async function fetchPage(listing: Listing, prefix: string, continuationToken: string | undefined): Promise<Page> {
  const { container, pageSize, timeoutMs, signal } = listing;
  return await callSdk({ operation: 'List Blobs', timeoutMs, signal }, async (abortSignal) => {
    const settings = { maxPageSize: pageSize, ...(continuationToken === undefined ? {} : { continuationToken }) };
    for await (const answer of container.listBlobsByHierarchy('/', { prefix, includeMetadata: true, abortSignal }).byPage(settings)) {
      return {
        blobs: answer.segment.blobItems,
        prefixes: (answer.segment.blobPrefixes ?? []).map(({ name }) => name),
        continuationToken: answer.continuationToken === '' ? undefined : answer.continuationToken,
      };
    }
    return { blobs: [], prefixes: [], continuationToken: undefined };
  });
}

function entryOf(item: BlobItem, prefix: string): DirectoryEntry {
  return {
    name: item.name.slice(prefix.length),
    isDirectory: isDirectoryMarker(lowerCaseKeys(item.metadata)),
    sizeBytes: item.properties.contentLength ?? 0,
    modifiedAt: item.properties.lastModified,
  };
}
