import type { BlobItem, ContainerClient } from '@azure/storage-blob';
import type { BlobName } from '@skiff/model/virtual-path';
import type { Logger } from '@skiff/runtime/logger';
import { DirectoryPages, isEntryName } from '../directory-pages.ts';
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
  const prefix = prefixOf(listing);
  const pages = new DirectoryPages();
  for await (const { blobs, prefixes } of pagesOf(listing, '/')) {
    yield pages.next({ blobs: blobs.map((item) => entryOf(item, prefix)), prefixes: prefixes.map((name) => name.slice(prefix.length, -1)) });
  }
  tellSkipped(listing, pages.skipped);
}

/** All blobs below a directory, the markers of explicit directories among them. Calls and deadlines as above. */
export async function* listBlobsBelow(listing: Listing): AsyncIterable<readonly DirectoryEntry[]> {
  const prefix = prefixOf(listing);
  let skipped = 0;
  for await (const { blobs } of pagesOf(listing, undefined)) {
    const entries = blobs.map((item) => entryOf(item, prefix)).filter(({ name }) => name.split('/').every(isEntryName));
    skipped += blobs.length - entries.length;
    yield entries;
  }
  tellSkipped(listing, skipped);
}

function prefixOf({ directory }: Listing): string {
  return directory === '' ? '' : `${directory}/`;
}

function tellSkipped({ logger, directory }: Listing, skipped: number): void {
  if (skipped > 0) logger.warn({ directory, skipped }, 'blobs were left out of a listing because their names cannot be paths');
}

interface Page {
  readonly blobs: readonly BlobItem[];
  readonly prefixes: readonly string[];
  readonly continuationToken: string | undefined;
}

async function* pagesOf(listing: Listing, delimiter: '/' | undefined): AsyncGenerator<Page> {
  let continuationToken: string | undefined;
  do {
    const page = await fetchPage(listing, delimiter, continuationToken);
    yield page;
    continuationToken = page.continuationToken === '' ? undefined : page.continuationToken;
  } while (continuationToken !== undefined);
}

async function fetchPage(listing: Listing, delimiter: '/' | undefined, continuationToken: string | undefined): Promise<Page> {
  const { container, pageSize, timeoutMs, signal } = listing;
  return await callSdk({ operation: 'List Blobs', timeoutMs, signal }, async (abortSignal) => {
    const settings = { maxPageSize: pageSize, ...(continuationToken === undefined ? {} : { continuationToken }) };
    const options = { prefix: prefixOf(listing), includeMetadata: true, abortSignal };
    if (delimiter === undefined) {
      for await (const { segment, continuationToken: next } of container.listBlobsFlat(options).byPage(settings)) {
        return { blobs: segment.blobItems, prefixes: [], continuationToken: next };
      }
    } else {
      for await (const { segment, continuationToken: next } of container.listBlobsByHierarchy(delimiter, options).byPage(settings)) {
        return { blobs: segment.blobItems, prefixes: (segment.blobPrefixes ?? []).map(({ name }) => name), continuationToken: next };
      }
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
