import { StoreError } from '@skiff/model/store-error';
import type { CommittedFile, Content, ReadRange } from '../file-store.ts';
import type { Metadata } from '../metadata.ts';
import type { BlobRequests, BlobResponse } from './blob-requests.ts';

export const CONTENT_TYPE = 'application/octet-stream';

/** Answers that carry nothing but headers. */
export const MAX_EMPTY_ANSWER_BYTES = 64 * 1024;

export interface Transfer {
  /** Percent-encoded path of the blob. */
  readonly path: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Put Block. */
export async function putBlock(requests: BlobRequests, transfer: Transfer, blockId: string, content: Content): Promise<void> {
  await requests.send({
    ...transfer,
    operation: 'Put Block',
    method: 'PUT',
    query: { blockid: Buffer.from(blockId).toString('base64'), comp: 'block' },
    parts: content.parts,
    contentLength: content.sizeBytes,
    repeatable: true,
    accepted: [201],
    maxResponseBytes: MAX_EMPTY_ANSWER_BYTES,
  });
}

export interface BlobConditions {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
}

export function conditionHeaders({ ifMatch, ifNoneMatch }: BlobConditions): Readonly<Record<string, string>> {
  return { ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }), ...(ifNoneMatch === undefined ? {} : { 'if-none-match': ifNoneMatch }) };
}

export function metadataHeaders(metadata: Metadata): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [`x-ms-meta-${key}`, value]));
}

/** Put Blob. */
export async function putBlob(
  requests: BlobRequests,
  transfer: Transfer,
  blob: { readonly content: Content; readonly metadata: Metadata; readonly conditions: BlobConditions },
): Promise<CommittedFile> {
  const headers = { 'content-type': CONTENT_TYPE, 'x-ms-blob-type': 'BlockBlob', ...metadataHeaders(blob.metadata), ...conditionHeaders(blob.conditions) };
  const answer = await requests.send({
    ...transfer,
    operation: 'Put Blob',
    method: 'PUT',
    headers,
    parts: blob.content.parts,
    contentLength: blob.content.sizeBytes,
    // Repeated after a lost answer, If-None-Match would refuse what it has just written; the caller can tell, we cannot.
    repeatable: false,
    accepted: [201],
    maxResponseBytes: MAX_EMPTY_ANSWER_BYTES,
  });
  return committedFile(answer.headers.etag, answer.headers['last-modified']);
}

/** Delete Blob. */
export async function deleteBlob(requests: BlobRequests, transfer: Transfer, conditions: BlobConditions): Promise<void> {
  await requests.send({
    ...transfer,
    operation: 'Delete Blob',
    method: 'DELETE',
    headers: conditionHeaders(conditions),
    // Repeated after a lost answer it would not find what it has just removed; the caller can tell, we cannot.
    repeatable: false,
    accepted: [202],
    maxResponseBytes: MAX_EMPTY_ANSWER_BYTES,
  });
}

/** An answer without the version it made is as good as none. @throws {StoreError} `unavailable` */
export function committedFile(etag: string | undefined, lastModified: string | Date | undefined): CommittedFile {
  const modifiedAt = new Date(lastModified ?? Number.NaN);
  if (etag === undefined || etag === '' || Number.isNaN(modifiedAt.getTime())) {
    throw new StoreError({ code: 'unavailable', message: 'the store did not say which version it wrote', vendorCode: 'NoETag' });
  }
  return { etag, modifiedAt };
}

/** Get Blob, a range of one version. A range that begins behind the end is empty. */
export async function getRange(requests: BlobRequests, transfer: Transfer, range: ReadRange): Promise<readonly Buffer[]> {
  const answer = await requests.send({
    ...transfer,
    operation: 'Get Blob',
    method: 'GET',
    headers: { 'if-match': range.etag, range: `bytes=${range.offset}-${range.offset + range.length - 1}` },
    repeatable: true,
    accepted: [206, 416],
    maxResponseBytes: Math.max(range.length, MAX_EMPTY_ANSWER_BYTES),
  });
  if (answer.status === 416) return [];
  checkAnswer(answer, range);
  return answer.parts;
}

// A proxy in between may cut a body and still end the answer in good form.
function checkAnswer(answer: BlobResponse, range: ReadRange): void {
  const [, start, end, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.headers['content-range'] ?? '') ?? [];
  const expected = Math.min(range.length, Number(total) - range.offset);
  if (Number(start) !== range.offset || Number(end) - Number(start) + 1 !== expected || answer.sizeBytes !== expected) {
    throw new StoreError({ code: 'unavailable', message: `asked for ${range.length} bytes, got ${answer.sizeBytes}`, vendorCode: 'IncompleteBody' });
  }
  if (answer.headers.etag !== range.etag) {
    throw new StoreError({ code: 'conflict', message: 'the store sent another version than the one asked for', vendorCode: 'ConditionNotMet' });
  }
}
