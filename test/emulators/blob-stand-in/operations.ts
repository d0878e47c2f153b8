import { randomUUID } from 'node:crypto';
import { type BlobRequest, conditionsOf, metadataOf } from './blob-request.ts';
import { type Blob, type Block, Container } from './container.ts';
import type { Payload } from './payload.ts';
import { RestError } from './rest-error.ts';
import { blockListXml, enumerationXml, parseBlockListXml } from './xml.ts';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly text?: string;
  readonly body?: { readonly sizeBytes: number; readonly chunks: Iterable<Uint8Array> };
}

export interface Account {
  readonly name: string;
  readonly endpoint: string;
  readonly containers: Map<string, Container>;
  /** Copies stay pending this long; 0: they are done when they are answered. */
  readonly copyPendingMs: number;
}

export interface Operation {
  readonly name: string;
  run(account: Account, request: BlobRequest, body: Payload): Answer;
}

/** One function per operation of the REST API. @throws {RestError} 400 for what this stand-in does not do. */
export function operationOf(request: BlobRequest): Operation {
  const comp = request.query.get('comp') ?? '';
  const key = request.blob === '' ? `container ${request.method} ${request.query.get('restype') ?? ''} ${comp}` : `blob ${request.method} ${comp}`;
  const copies = key === 'blob PUT ' && request.headers['x-ms-copy-source'] !== undefined;
  const operation = copies ? COPY_BLOB : OPERATIONS[key];
  if (operation === undefined) throw new RestError(400, 'UnsupportedQueryParameter');
  return operation;
}

const COPY_BLOB: Operation = { name: 'Copy Blob', run: copyBlob };

const OPERATIONS: Readonly<Record<string, Operation>> = {
  'container PUT container ': { name: 'Create Container', run: createContainer },
  'container GET container ': { name: 'Get Container Properties', run: getContainer },
  'container HEAD container ': { name: 'Get Container Properties', run: getContainer },
  'container GET container list': { name: 'List Blobs', run: listBlobs },
  'blob PUT ': { name: 'Put Blob', run: putBlob },
  'blob PUT block': { name: 'Put Block', run: putBlock },
  'blob PUT blocklist': { name: 'Put Block List', run: putBlockList },
  'blob GET blocklist': { name: 'Get Block List', run: getBlockList },
  'blob PUT metadata': { name: 'Set Blob Metadata', run: setMetadata },
  'blob GET ': { name: 'Get Blob', run: getBlob },
  'blob HEAD ': { name: 'Get Blob Properties', run: getProperties },
  'blob DELETE ': { name: 'Delete Blob', run: deleteBlob },
};

function createContainer(account: Account, { container }: BlobRequest): Answer {
  if (account.containers.has(container)) throw new RestError(409, 'ContainerAlreadyExists');
  account.containers.set(container, new Container());
  return { status: 201, headers: CONTAINER_HEADERS };
}

const CONTAINER_HEADERS = { etag: '"0x1"', 'last-modified': new Date(0).toUTCString() };

function getContainer(account: Account, request: BlobRequest): Answer {
  containerOf(account, request);
  return { status: 200, headers: CONTAINER_HEADERS };
}

function containerOf(account: Account, request: BlobRequest): Container {
  const container = account.containers.get(request.container);
  if (container === undefined) throw new RestError(404, 'ContainerNotFound');
  return container;
}

function listBlobs(account: Account, request: BlobRequest): Answer {
  const text = (name: string): string => request.query.get(name) ?? '';
  const [prefix, delimiter, marker] = [text('prefix'), text('delimiter'), text('marker')];
  const maxResults = Math.min(Number(request.query.get('maxresults') ?? 5000), 5000);
  if (!(maxResults > 0)) throw new RestError(400, 'OutOfRangeQueryParameterValue');
  const page = containerOf(account, request).list({ prefix, delimiter, marker, maxResults });
  const withMetadata = text('include').split(',').includes('metadata');
  const xml = enumerationXml({ ...page, endpoint: account.endpoint, container: request.container, prefix, delimiter, withMetadata });
  return { status: 200, headers: { 'content-type': 'application/xml' }, text: xml };
}

function putBlob(account: Account, request: BlobRequest, body: Payload): Answer {
  if (request.headers['x-ms-blob-type'] !== 'BlockBlob') throw new RestError(400, 'InvalidHeaderValue');
  const contentType = request.headers['x-ms-blob-content-type'] ?? request.headers['content-type'] ?? 'application/octet-stream';
  const blob = { blocks: [], payloads: [body], metadata: metadataOf(request), contentType };
  return written(containerOf(account, request).write(request.blob, blob, conditionsOf(request)));
}

function putBlock(account: Account, request: BlobRequest, body: Payload): Answer {
  const id = request.query.get('blockid') ?? '';
  const decoded = Buffer.from(id, 'base64');
  if (decoded.length === 0 || decoded.length > 64 || decoded.toString('base64') !== id) throw new RestError(400, 'InvalidQueryParameterValue');
  containerOf(account, request).stage(request.blob, id, body);
  return { status: 201 };
}

function putBlockList(account: Account, request: BlobRequest, body: Payload): Answer {
  const container = containerOf(account, request);
  const list = parseBlockListXml(Buffer.concat([...body.slice(0, body.sizeBytes)]).toString());
  const contentType = request.headers['x-ms-blob-content-type'] ?? 'application/octet-stream';
  const conditions = conditionsOf(request);
  // Conditions come first: a writer that lost must learn that, not that its blocks are gone.
  container.checkWrite(request.blob, conditions);
  const blocks = container.chosenBlocks(request.blob, list);
  return written(container.write(request.blob, { blocks, payloads: payloadsOf(blocks), metadata: metadataOf(request), contentType }, conditions));
}

function payloadsOf(blocks: readonly Block[]): readonly Payload[] {
  return blocks.map((block) => block.payload);
}

function getBlockList(account: Account, request: BlobRequest): Answer {
  const lists = containerOf(account, request).blockLists(request.blob);
  const type = request.query.get('blocklisttype') ?? 'committed';
  const xml = blockListXml(type === 'uncommitted' ? undefined : lists.committed, type === 'committed' ? undefined : lists.uncommitted);
  return { status: 200, headers: { 'content-type': 'application/xml' }, text: xml };
}

function setMetadata(account: Account, request: BlobRequest): Answer {
  const blob = containerOf(account, request).setMetadata(request.blob, metadataOf(request), conditionsOf(request));
  return { status: 200, headers: versionHeaders(blob) };
}

function getProperties(account: Account, request: BlobRequest): Answer {
  const blob = containerOf(account, request).existing(request.blob, conditionsOf(request));
  return { status: 200, headers: { ...blobHeaders(blob), 'content-length': String(blob.sizeBytes) } };
}

function getBlob(account: Account, request: BlobRequest): Answer {
  const blob = containerOf(account, request).existing(request.blob, conditionsOf(request));
  const range = request.headers['x-ms-range'] ?? request.headers.range;
  if (range === undefined) return { status: 200, headers: blobHeaders(blob), body: { sizeBytes: blob.sizeBytes, chunks: bytesOf(blob, 0, blob.sizeBytes) } };
  const [, from = '', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(range) ?? [];
  const start = Number(from);
  const end = Math.min(to === '' ? blob.sizeBytes : Number(to) + 1, blob.sizeBytes);
  if (from === '' || start >= end) throw new RestError(416, 'InvalidRange', { 'content-range': `bytes */${blob.sizeBytes}` });
  const headers = { ...blobHeaders(blob), 'content-range': `bytes ${start}-${end - 1}/${blob.sizeBytes}` };
  return { status: 206, headers, body: { sizeBytes: end - start, chunks: bytesOf(blob, start, end) } };
}

function* bytesOf(blob: Blob, from: number, to: number): Iterable<Uint8Array> {
  let start = 0;
  for (const payload of blob.payloads) {
    const first = Math.max(from - start, 0);
    const last = Math.min(to - start, payload.sizeBytes);
    if (first < last) yield* payload.slice(first, last - first);
    start += payload.sizeBytes;
  }
}

function deleteBlob(account: Account, request: BlobRequest): Answer {
  containerOf(account, request).remove(request.blob, conditionsOf(request));
  return { status: 202 };
}

function copyBlob(account: Account, request: BlobRequest): Answer {
  const container = containerOf(account, request);
  const [owner = '', from = '', ...name] = new URL(request.headers['x-ms-copy-source'] ?? '').pathname.slice(1).split('/').map(decodeURIComponent);
  const sourceContainer = owner === account.name ? account.containers.get(from) : undefined;
  if (sourceContainer === undefined) throw new RestError(404, 'CannotVerifyCopySource');
  const source = sourceContainer.existing(name.join('/'), conditionsOf(request, 'x-ms-source-'));
  const given = metadataOf(request);
  const metadata = Object.keys(given).length === 0 ? source.metadata : given;
  const id = randomUUID();
  const { blocks, payloads, contentType } = source;
  const done = { blocks, payloads, contentType, metadata, copy: { id, status: 'success' } } as const;
  if (account.copyPendingMs === 0) return copyAnswer(container.write(request.blob, done, conditionsOf(request)));
  // Until it is done, the target is an empty blob that has its final metadata already.
  const pending = container.write(request.blob, { ...done, blocks: [], payloads: [], copy: { id, status: 'pending' } }, conditionsOf(request));
  const finish = (): void => {
    if (container.find(request.blob)?.copy?.id === id) container.write(request.blob, done, { ifMatch: undefined, ifNoneMatch: undefined });
  };
  setTimeout(finish, account.copyPendingMs).unref();
  return copyAnswer(pending);
}

function copyAnswer(blob: Blob): Answer {
  return { status: 202, headers: { ...versionHeaders(blob), 'x-ms-copy-id': blob.copy?.id ?? '', 'x-ms-copy-status': blob.copy?.status ?? '' } };
}

function written(blob: Blob): Answer {
  return { status: 201, headers: versionHeaders(blob) };
}

function versionHeaders(blob: Blob): Readonly<Record<string, string>> {
  return { etag: blob.etag, 'last-modified': blob.modifiedAt.toUTCString() };
}

function blobHeaders(blob: Blob): Readonly<Record<string, string>> {
  const metadata = Object.fromEntries(Object.entries(blob.metadata).map(([key, value]) => [`x-ms-meta-${key}`, value]));
  const copy = blob.copy === undefined ? {} : { 'x-ms-copy-id': blob.copy.id, 'x-ms-copy-status': blob.copy.status };
  return { ...versionHeaders(blob), 'accept-ranges': 'bytes', 'content-type': blob.contentType, 'x-ms-blob-type': 'BlockBlob', ...metadata, ...copy };
}
