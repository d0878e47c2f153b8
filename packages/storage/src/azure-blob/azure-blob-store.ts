import type { ContainerClient } from '@azure/storage-blob';
import { StoreError } from '@skiff/model/store-error';
import type { BlockRef } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import type { Logger } from '@skiff/runtime/logger';
import { checkBlock, checkContent, checkRange } from '../content.ts';
import { IMPLICIT_DIRECTORY } from '../directory-pages.ts';
import type { CommittedFile, Content, DirectoryEntry, FileStore, ReadRange, StoredFile, StoreLimits, WriteCondition, WriteOptions } from '../file-store.ts';
import { checkCopyMetadata, checkMetadata, DIRECTORY_METADATA_KEY, type Metadata } from '../metadata.ts';
import { createAuthorizer } from './authorization.ts';
import { copyBlob } from './blob-copy.ts';
import { type Listing, listBlobsBelow, listDirectory } from './blob-listing.ts';
import { hasChildren, headBlob } from './blob-lookup.ts';
import { type ContainerAddress, encodeBlobName, parseContainerAddress } from './blob-path.ts';
import { type BlobAgent, BlobRequests, createBlobAgent } from './blob-requests.ts';
import { type BlobConditions, CONTENT_TYPE, committedFile, deleteBlob, getRange, putBlob, putBlock, type Transfer } from './blob-transfers.ts';
import { type BlobCredential, isSharedKey } from './credential.ts';
import { callSdk, createSdkClient } from './sdk-client.ts';
import { TokenCache } from './token-cache.ts';

export interface AzureBlobStoreOptions {
  /** `https://NAME.blob.core.windows.net`, or a path-style address such as an emulator's. */
  readonly accountUrl: string;
  /** Must exist. */
  readonly container: string;
  readonly credential: BlobCredential;
  readonly logger: Logger;
  /** PEM of the authorities to trust in place of the system's. */
  readonly ca?: string;
  /** Bounds open connections; further calls wait for a free one, within their timeout. Default 64. */
  readonly maxSockets?: number;
  readonly timeouts?: Partial<AzureBlobTimeouts>;
  /** Entries per page of a listing, at most 5,000. Default 1,000: parsing a page holds up everything else. */
  readonly listPageSize?: number;
}

export interface AzureBlobTimeouts {
  /** A call without payload. Default 15,000. */
  readonly callMs: number;
  /** A block or a range. Default 60,000. */
  readonly transferMs: number;
  /** A copy, with the waiting for its end. Default 120,000. */
  readonly copyMs: number;
}

const DEFAULT_TIMEOUTS: AzureBlobTimeouts = { callMs: 15_000, transferMs: 60_000, copyMs: 120_000 };

/** REST docs, "Scalability and performance targets for Blob storage", versions 2019-12-12 and later. */
const LIMITS: StoreLimits = { maxBlockBytes: 4000 * 1024 * 1024, maxBlocks: 50_000, maxPutBytes: 5000 * 1024 * 1024 };

/** Files as plain block blobs: one file, one blob, same name. @throws {RangeError} for an address that cannot be one. */
export function createAzureBlobStore(options: AzureBlobStoreOptions): FileStore {
  const address = parseContainerAddress(options.accountUrl, options.container);
  if (!isSharedKey(options.credential) && !address.accountUrl.startsWith('https:')) throw new RangeError('a token is sent over https only');
  return new AzureBlobStore(options, address);
}

class AzureBlobStore implements FileStore {
  readonly identity: string;
  readonly container: string;
  readonly limits = LIMITS;
  readonly #containerUrl: string;
  readonly #containerPath: string;
  readonly #agent: BlobAgent;
  readonly #requests: BlobRequests;
  readonly #sdk: ContainerClient;
  readonly #timeouts: AzureBlobTimeouts;
  readonly #listPageSize: number;
  readonly #logger: Logger;

  constructor(options: AzureBlobStoreOptions, address: ContainerAddress) {
    const { accountUrl, container } = address;
    this.container = container;
    this.#containerUrl = `${accountUrl}/${container}`;
    this.identity = this.#containerUrl.toLowerCase();
    this.#containerPath = new URL(this.#containerUrl).pathname;
    this.#agent = createBlobAgent(accountUrl.startsWith('https:'), { maxSockets: options.maxSockets ?? 64, ca: options.ca });
    const tokens = isSharedKey(options.credential) ? undefined : new TokenCache(options.credential);
    this.#requests = new BlobRequests({ accountUrl, agent: this.#agent, authorizer: createAuthorizer(options.credential, tokens) });
    this.#sdk = createSdkClient({ address, credential: options.credential, tokens, agent: this.#agent });
    this.#timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
    this.#listPageSize = options.listPageSize ?? 1000;
    this.#logger = options.logger;
  }

  urlOf(name: BlobName): string {
    return `${this.#containerUrl}/${encodeBlobName(name)}`;
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.#call('Get Container Properties', signal, (abortSignal) => this.#sdk.getProperties({ abortSignal }));
  }

  async stat(name: BlobName, signal: AbortSignal): Promise<StoredFile | undefined> {
    if (name === '') return IMPLICIT_DIRECTORY;
    const blob = await this.#head(name, signal);
    if (blob !== undefined) return blob;
    const below = await hasChildren(this.#requests, { path: this.#containerPath, timeoutMs: this.#timeouts.callMs, signal }, name);
    return below ? IMPLICIT_DIRECTORY : undefined;
  }

  #head(name: BlobName, signal: AbortSignal): Promise<StoredFile | undefined> {
    return headBlob(this.#requests, { ...this.#transfer(name, signal), timeoutMs: this.#timeouts.callMs }).catch(absent);
  }

  list(directory: BlobName, signal: AbortSignal): AsyncIterable<readonly DirectoryEntry[]> {
    return listDirectory(this.#listing(directory, signal));
  }

  listBelow(directory: BlobName, signal: AbortSignal): AsyncIterable<readonly DirectoryEntry[]> {
    return listBlobsBelow(this.#listing(directory, signal));
  }

  #listing(directory: BlobName, signal: AbortSignal): Listing {
    return { container: this.#sdk, directory, pageSize: this.#listPageSize, timeoutMs: this.#timeouts.callMs, logger: this.#logger, signal };
  }

  async read(name: BlobName, range: ReadRange, signal: AbortSignal): Promise<readonly Buffer[]> {
    checkRange(range);
    if (range.length === 0) return [];
    return await this.#existing(name, signal, getRange(this.#requests, this.#transfer(name, signal), range));
  }

  async stageBlock(name: BlobName, blockId: string, content: Content, signal: AbortSignal): Promise<void> {
    checkBlock(blockId, content, LIMITS.maxBlockBytes);
    await putBlock(this.#requests, this.#transfer(name, signal), blockId, content);
  }

  async listStagedBlocks(name: BlobName, signal: AbortSignal): Promise<readonly BlockRef[]> {
    const found = await this.#call('Get Block List', signal, (abortSignal) =>
      this.#sdk.getBlockBlobClient(name).getBlockList('uncommitted', { abortSignal }),
    ).catch(absent);
    return (found?.uncommittedBlocks ?? []).map((block) => ({ id: Buffer.from(block.name, 'base64').toString(), sizeBytes: block.size }));
  }

  async commitBlocks(name: BlobName, blocks: readonly BlockRef[], options: WriteOptions): Promise<CommittedFile> {
    checkMetadata(options.metadata);
    if (blocks.length > LIMITS.maxBlocks) throw new StoreError({ code: 'invalid', message: 'too many blocks', vendorCode: 'BlockListTooLong' });
    const ids = blocks.map(({ id }) => Buffer.from(id).toString('base64'));
    const answer = await this.#call('Put Block List', options.signal, (abortSignal) =>
      this.#sdk.getBlockBlobClient(name).commitBlockList(ids, {
        abortSignal,
        conditions: conditionsOf(options.condition),
        metadata: { ...options.metadata },
        blobHTTPHeaders: { blobContentType: CONTENT_TYPE },
      }),
    );
    return committedFile(answer.etag, answer.lastModified);
  }

  async put(name: BlobName, content: Content, options: WriteOptions): Promise<CommittedFile> {
    checkContent(content, LIMITS.maxPutBytes);
    checkMetadata(options.metadata);
    const blob = { content, metadata: options.metadata, conditions: conditionsOf(options.condition) };
    return await putBlob(this.#requests, this.#transfer(name, options.signal), blob);
  }

  async remove(name: BlobName, options: { readonly etag?: string; readonly signal: AbortSignal }): Promise<void> {
    const conditions = options.etag === undefined ? {} : { ifMatch: options.etag };
    const transfer = { ...this.#transfer(name, options.signal), timeoutMs: this.#timeouts.callMs };
    await this.#existing(name, options.signal, deleteBlob(this.#requests, transfer, conditions));
  }

  async copy(source: { readonly name: BlobName; readonly etag: string }, target: BlobName, options: WriteOptions): Promise<CommittedFile> {
    checkMetadata(options.metadata);
    checkCopyMetadata(options.metadata);
    const transfer = { ...this.#transfer(target, options.signal), timeoutMs: this.#timeouts.copyMs };
    const { condition, metadata } = options;
    const copy = { sourceUrl: this.urlOf(source.name), sourceEtag: source.etag, conditions: conditionsOf(condition), metadata };
    return await copyBlob(this.#requests, transfer, copy);
  }

  async setMetadata(name: BlobName, metadata: Metadata, options: { readonly etag: string; readonly signal: AbortSignal }): Promise<CommittedFile> {
    checkMetadata(metadata);
    const change = this.#call('Set Blob Metadata', options.signal, (abortSignal) =>
      this.#sdk.getBlobClient(name).setMetadata({ ...metadata }, { abortSignal, conditions: { ifMatch: options.etag } }),
    );
    const answer = await this.#existing(name, options.signal, change);
    return committedFile(answer.etag, answer.lastModified);
  }

  async createDirectory(name: BlobName, options: WriteOptions): Promise<CommittedFile> {
    const metadata = { ...options.metadata, [DIRECTORY_METADATA_KEY]: 'true' };
    const marker: WriteOptions = { metadata, signal: options.signal, condition: { kind: 'absent' } };
    return await this.put(name, { parts: [], sizeBytes: 0 }, marker).catch((error: unknown) => {
      if (!(error instanceof StoreError) || error.code !== 'conflict') throw error;
      throw new StoreError({ code: 'alreadyExists', message: 'a file or directory of this name exists', vendorCode: error.vendorCode, cause: error });
    });
  }

  async close(): Promise<void> {
    this.#agent.destroy();
  }

  #transfer(name: BlobName, signal: AbortSignal): Transfer {
    return { path: `${this.#containerPath}/${encodeBlobName(name)}`, timeoutMs: this.#timeouts.transferMs, signal };
  }

  // If-Match on what is not there is answered with 412 by some and with 404 by others, and the two mean different things above.
  async #existing<Result>(name: BlobName, signal: AbortSignal, call: Promise<Result>): Promise<Result> {
    try {
      return await call;
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'conflict' || (await this.#head(name, signal)) !== undefined) throw error;
      throw new StoreError({ code: 'notFound', message: 'no such file', vendorCode: error.vendorCode, cause: error });
    }
  }

  #call<Result>(operation: string, signal: AbortSignal, run: (abortSignal: AbortSignal) => Promise<Result>): Promise<Result> {
    return callSdk({ operation, timeoutMs: this.#timeouts.callMs, signal }, run);
  }
}

function conditionsOf(condition: WriteCondition | undefined): BlobConditions {
  if (condition === undefined) return {};
  return condition.kind === 'absent' ? { ifNoneMatch: '*' } : { ifMatch: condition.etag };
}

function absent(error: unknown): undefined {
  if (error instanceof StoreError && error.code === 'notFound') return undefined;
  throw error;
}
