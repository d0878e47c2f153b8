import type { BlobName } from '@skiff/model/virtual-path';
import type { FileAttributes, OpenFile } from '@skiff/sftp-protocol/backend';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import type { FileStore } from '@skiff/storage/file-store';
import type { BudgetHolder, ByteBudget } from '../byte-budget.ts';
import { toSftpError } from '../operations/outcome.ts';
import { Segment } from './segment.ts';
import { SentRanges } from './sent-ranges.ts';

const MIB = 1024 * 1024;
const FIRST_SEGMENT_BYTES = 256 * 1024;
const LARGEST_SEGMENT_BYTES = 4 * MIB;
/** Segments fetched ahead of the reader, where the budget has room. */
const READ_AHEAD = 3;
/** Segments kept for one file; the least recently begun goes first. */
const MAX_SEGMENTS = 8;
/** One range that does not arrive in this time has failed. */
const READ_TIMEOUT_MS = 60_000;

export interface DownloadProps {
  readonly store: FileStore;
  readonly budget: ByteBudget;
  readonly name: BlobName;
  readonly etag: string;
  readonly attributes: FileAttributes & { readonly sizeBytes: number };
  /** Called once. */
  readonly onEnd: (end: DownloadEnd) => void;
}

export interface DownloadEnd {
  /** Nothing was asked for, or nothing was given. */
  readonly untouched: boolean;
  /** Bytes that were handed to the channel, each counted once. */
  readonly bytesSent: number;
  /** All bytes were sent, and the client then closed the file: it has read them. */
  readonly complete: boolean;
}

/** One version of a file being read. Sequential readers are served from ranges fetched ahead; the ETag keeps versions apart. */
export class Download implements OpenFile, BudgetHolder {
  readonly #props: DownloadProps;
  readonly #size: number;
  readonly #abort = new AbortController();
  #segments: Segment[] = [];
  #segmentBytes = FIRST_SEGMENT_BYTES;
  readonly #sent = new SentRanges();
  #sawEnd = false;
  #ended = false;

  constructor(props: DownloadProps) {
    this.#props = props;
    this.#size = props.attributes.sizeBytes;
    props.budget.register(this);
  }

  write(): void {
    throw new SftpError(SftpStatus.permissionDenied, 'the file was opened for reading');
  }

  async read(offset: number, length: number): Promise<{ readonly parts: readonly Buffer[]; readonly sizeBytes: number } | undefined> {
    const sizeBytes = Math.min(length, this.#size - offset);
    if (sizeBytes <= 0) {
      this.#sawEnd = true;
      return undefined;
    }
    const pieces = this.#cover(offset, sizeBytes);
    try {
      // Every segment is asked at once, so that none of them is dropped while this request waits for another.
      const slices = await Promise.all(pieces.map((segment) => segment.slice(Math.max(offset, segment.offset), Math.min(offset + sizeBytes, segment.end))));
      this.#forgetRead();
      this.#sent.add(offset, offset + sizeBytes);
      return { parts: slices.flat(), sizeBytes };
    } catch (error) {
      this.#drop(pieces);
      throw toSftpError(error, 'read');
    }
  }

  /** Segments that hold the range, made where they are missing; decided synchronously, in the order of the client's requests. */
  #cover(offset: number, sizeBytes: number): readonly Segment[] {
    const pieces: Segment[] = [];
    for (let position = offset; position < offset + sizeBytes; ) {
      const segment = this.#segments.find((known) => known.covers(position)) ?? this.#fetchDemanded(position, offset + sizeBytes - position);
      pieces.push(segment);
      position = segment.end;
    }
    this.#fetchAhead(pieces);
    return pieces;
  }

  /** What a reader waits for: a full segment where the budget has room, else just what is asked for, once it has. */
  #fetchDemanded(offset: number, sizeBytes: number): Segment {
    const length = this.#lengthAt(offset, Math.max(sizeBytes, this.#segmentBytes));
    if (this.#props.budget.tryAcquire(length)) return this.#fetch(offset, length, undefined);
    return this.#fetch(offset, sizeBytes, this.#props.budget.acquire(sizeBytes));
  }

  /** Ranges after the reader's last one, as long as the budget has room. */
  #fetchAhead(pieces: readonly Segment[]): void {
    const reader = pieces.at(-1);
    for (let last = this.#segments.at(-1); last !== undefined && reader !== undefined && last.end < this.#size; last = this.#segments.at(-1)) {
      if (this.#segments.indexOf(reader) < this.#segments.length - READ_AHEAD) return;
      const length = this.#lengthAt(last.end, this.#segmentBytes);
      if (!this.#props.budget.tryAcquire(length)) return;
      this.#fetch(last.end, length, undefined);
    }
  }

  #lengthAt(offset: number, wanted: number): number {
    return Math.min(wanted, this.#size - offset);
  }

  /** Starts to fetch a range once its bytes are granted. */
  #fetch(offset: number, length: number, granted: Promise<void> | undefined): Segment {
    // A sequential reader earns longer ranges; a jump starts small again.
    const sequential = this.#segments.at(-1)?.end === offset;
    this.#segmentBytes = sequential ? Math.min(this.#segmentBytes * 2, LARGEST_SEGMENT_BYTES) : FIRST_SEGMENT_BYTES;
    if (this.#segments.length >= MAX_SEGMENTS) this.#release(this.#segments.splice(0, 1));
    const { store, name, etag } = this.#props;
    const start = () => store.read(name, { offset, length, etag }, AbortSignal.any([this.#abort.signal, AbortSignal.timeout(READ_TIMEOUT_MS)]));
    const segment = new Segment({ offset, length, budgetedBytes: length, bytes: granted === undefined ? start() : granted.then(start) });
    this.#segments.push(segment);
    return segment;
  }

  /** Segments that no request waits for; dropping them costs a later reader a second fetch. */
  relievableBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + (segment.isAwaited ? 0 : segment.budgetedBytes), 0);
  }

  relieve(): void {
    this.#drop(this.#segments.filter((segment) => !segment.isAwaited));
  }

  #forgetRead(): void {
    const done = this.#segments.filter((segment) => segment.isReadWhole);
    if (done.length > 0) this.#drop(done);
  }

  #drop(segments: readonly Segment[]): void {
    const gone = this.#segments.filter((segment) => segments.includes(segment));
    this.#segments = this.#segments.filter((segment) => !segments.includes(segment));
    this.#release(gone);
  }

  #release(segments: readonly Segment[]): void {
    for (const segment of segments) this.#props.budget.release(segment.takeBudgetedBytes());
  }

  stat(): Promise<FileAttributes> {
    return Promise.resolve(this.#props.attributes);
  }

  setStat(): Promise<void> {
    return Promise.reject(new SftpError(SftpStatus.permissionDenied, 'the file was opened for reading'));
  }

  close(): Promise<void> {
    this.#end(true);
    return Promise.resolve();
  }

  abandon(): void {
    this.#end(false);
  }

  #end(closed: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#abort.abort();
    this.#release(this.#segments);
    this.#segments = [];
    this.#props.budget.unregister(this);
    const bytesSent = this.#sent.sizeBytes;
    const isWhole = bytesSent === this.#size && (this.#size > 0 || this.#sawEnd);
    this.#props.onEnd({ untouched: bytesSent === 0 && !isWhole, bytesSent, complete: closed && isWhole });
  }
}
