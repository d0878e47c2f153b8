import { setTimeout as sleep } from 'node:timers/promises';
import type { CommitPlan, OperationRef } from '@skiff/database/operation-log';
import { isTransient } from '@skiff/model/store-error';
import { type BlockRef, type OperationId, UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import type { BlobName, VirtualPath } from '@skiff/model/virtual-path';
import type { FileAttributes, OpenFile } from '@skiff/sftp-protocol/backend';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import type { BudgetHolder, ByteBudget } from '../byte-budget.ts';
import type { Begun } from '../operations/begin.ts';
import { finish } from '../operations/finish.ts';
import type { DisplaceableUpload } from '../operations/live-uploads.ts';
import type { OperationContext } from '../operations/operation-context.ts';
import { type Outcome, throwUnlessCommitted, toSftpError } from '../operations/outcome.ts';
import { withDatabase } from '../operations/with-database.ts';
import { FILE_MODE, MTIME_METADATA_KEY } from '../session/attributes.ts';
import { compareOffsets, cutPrefix, formatBlockId } from './block-id.ts';
import { blockSizeAt } from './block-size.ts';
import { commitUpload } from './upload-effect.ts';

/** Blocks of one file under way to the store at a time. */
const MAX_BLOCKS_IN_FLIGHT = 4;
/** A block that the store refuses for now is tried again this long; the client's input is held meanwhile. */
const STAGE_PATIENCE_MS = 60_000;

export interface UploadProps {
  readonly context: OperationContext;
  readonly budget: ByteBudget;
  readonly id: OperationId;
  readonly path: VirtualPath;
  readonly name: BlobName;
  /** ETag of the version being replaced, read at OPEN; null for a new file. */
  readonly priorEtag: string | null;
  /** Writes the row in state `open`, or `committing` where a plan is given. */
  readonly begin: (plan: CommitPlan | undefined) => Promise<Begun>;
  readonly planEvent: (sizeBytes: number) => CommitPlan['event'];
  /** Why a file that has come into being meanwhile may not be replaced, if so. */
  readonly refuseReplacing: () => string | undefined;
  /** A row that exists already: O_EXCL, or an upload that is resumed. */
  readonly resumed?: { readonly ref: OperationRef; readonly blocks: readonly BlockRef[]; readonly sizeBytes: number };
  /** Called exactly once, when the upload holds nothing any more. */
  readonly onEnd: (upload: Upload) => void;
}

/**
 * One file on its way from a client to the store. Bytes are staged in blocks while they arrive; the row is written with the
 * first block; CLOSE makes the file appear. A file that fits one block is written by a single put instead.
 */
export class Upload implements OpenFile, BudgetHolder, DisplaceableUpload {
  readonly path: VirtualPath;
  readonly id: OperationId;
  readonly #props: UploadProps;
  readonly #abort = new AbortController();
  #ref: OperationRef | undefined;
  #opening: Promise<OperationRef> | undefined;
  #blocks: BlockRef[] = [];
  /** Where this epoch goes on with what earlier ones have staged. */
  #base: number;
  #parts: Buffer[] = [];
  #partBytes = 0;
  /** Offset up to which bytes were taken from the client. */
  #received: number;
  /** Offset of the first byte of the unstaged part. */
  #partOffset: number;
  readonly #staging = new Set<Promise<void>>();
  #slots: (() => void)[] = [];
  #failure: SftpError | undefined;
  #modifiedAt: number | undefined;
  #ended = false;

  constructor(props: UploadProps) {
    this.#props = props;
    this.path = props.path;
    this.id = props.id;
    this.#ref = props.resumed?.ref;
    this.#blocks.push(...(props.resumed?.blocks ?? []));
    this.#received = props.resumed?.sizeBytes ?? 0;
    this.#partOffset = this.#received;
    this.#base = this.#received;
    props.context.uploads.add(this);
    props.budget.register(this);
  }

  /** False once it has failed, was displaced or has ended: its name is free for another upload of the session. */
  get isLive(): boolean {
    return this.#failure === undefined && !this.#ended;
  }

  /** Whether its row was, or is being, written. */
  get hasRow(): boolean {
    return this.#ref !== undefined || this.#opening !== undefined;
  }

  /** Bytes received so far: what this session's STAT shows. */
  get sizeBytes(): number {
    return this.#received;
  }

  write(offset: number, parts: readonly Buffer[], sizeBytes: number): Promise<void> | void {
    if (this.#failure !== undefined) throw this.#failure;
    if (offset !== this.#received && !this.#rewind(offset)) {
      throw new SftpError(
        SftpStatus.unsupported,
        `writing at offset ${offset} is not supported: ${this.#received} comes next (files are written from start to end)`,
      );
    }
    this.#received += sizeBytes;
    const granted = this.#props.budget.acquire(sizeBytes);
    return granted === undefined ? this.#take(parts, sizeBytes) : granted.then(() => this.#take(parts, sizeBytes));
  }

  /**
   * The first write of a resumed upload may begin before the end of what was staged: at the length that the client was shown,
   * before more of it landed, or at the start. What lay behind is dropped.
   */
  #rewind(offset: number): boolean {
    if (this.#received !== this.#base || offset > this.#base) return false;
    const cut = cutPrefix({ blocks: this.#blocks, sizeBytes: this.#base }, offset);
    if (cut === undefined) return false;
    this.#blocks = [...cut.blocks];
    this.#base = offset;
    this.#received = offset;
    this.#partOffset = offset;
    return true;
  }

  #take(parts: readonly Buffer[], sizeBytes: number): Promise<void> | void {
    for (const part of parts) this.#parts.push(part);
    this.#partBytes += sizeBytes;
    if (this.#failure !== undefined || this.#ended) {
      this.#dropParts();
      throw this.#failure ?? new SftpError(SftpStatus.failure, 'the upload has ended');
    }
    if (this.#partBytes >= blockSizeAt(this.#partOffset, this.#props.context.store.limits.maxBlockBytes)) this.relieve();
    if (this.#staging.size >= MAX_BLOCKS_IN_FLIGHT) return new Promise((resolve) => this.#slots.push(resolve));
  }

  read(): Promise<undefined> {
    throw new SftpError(SftpStatus.unsupported, 'a file that is being uploaded cannot be read');
  }

  async stat(): Promise<FileAttributes> {
    const now = Math.floor(this.#props.context.clock.now().getTime() / 1000);
    return { sizeBytes: this.#received, mode: FILE_MODE, uid: 0, gid: 0, accessedAt: this.#modifiedAt ?? now, modifiedAt: this.#modifiedAt ?? now };
  }

  async setStat(attributes: FileAttributes): Promise<void> {
    if (attributes.sizeBytes !== undefined && attributes.sizeBytes !== this.#received) {
      throw new SftpError(SftpStatus.unsupported, 'changing the size of a file is not supported');
    }
    if (attributes.modifiedAt !== undefined) this.#modifiedAt = attributes.modifiedAt;
  }

  relievableBytes(): number {
    return this.#partBytes;
  }

  /** Stages what has gathered, whether or not it is a full block. */
  relieve(): void {
    if (this.#partBytes === 0 || this.#ended) return;
    const content = { parts: this.#parts, sizeBytes: this.#partBytes };
    const offset = this.#partOffset;
    this.#parts = [];
    this.#partBytes = 0;
    this.#partOffset += content.sizeBytes;
    const staging = this.#stage(offset, content).finally(() => {
      this.#props.budget.release(content.sizeBytes);
      this.#staging.delete(staging);
      const slots = this.#slots;
      this.#slots = [];
      for (const free of slots) free();
    });
    this.#staging.add(staging);
  }

  async #stage(offset: number, content: { readonly parts: readonly Buffer[]; readonly sizeBytes: number }): Promise<void> {
    if (this.#failure !== undefined) return;
    const { context, name } = this.#props;
    const deadline = context.clock.monotonicMs() + STAGE_PATIENCE_MS;
    try {
      const ref = await this.#open();
      const id = formatBlockId({ operation: ref.id, epoch: ref.epoch, base: this.#base, offset, sizeBytes: content.sizeBytes });
      for (let pause = 100; ; pause = Math.min(pause * 2, 2_000)) {
        try {
          await context.store.stageBlock(name, id, content, this.#abort.signal);
          break;
        } catch (error) {
          if (!isTransient(error) || this.#abort.signal.aborted || context.clock.monotonicMs() + pause > deadline) throw error;
          context.logger.warn({ operation: ref.id, err: error }, 'staging a block failed, trying again');
          await sleep(pause * (0.5 + Math.random() / 2), undefined, { signal: this.#abort.signal });
        }
      }
      this.#blocks.push({ id, sizeBytes: content.sizeBytes });
      if (this.#blocks.length >= context.store.limits.maxBlocks)
        throw new SftpError(SftpStatus.failure, 'the file is larger than the storage can hold (2 TiB)');
      await context.failpoints.hit('upload.staged');
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The row, written with the first block. */
  #open(): Promise<OperationRef> {
    if (this.#ref !== undefined) return Promise.resolve(this.#ref);
    this.#opening ??= this.#props.begin(undefined).then(async ({ ref }) => {
      this.#ref = ref;
      await this.#props.context.failpoints.hit('upload.intent');
      return ref;
    });
    return this.#opening;
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined || this.#ended) return;
    this.#failure = toSftpError(error, this.path);
    this.#props.context.logger.warn({ operation: this.id, err: error }, 'upload failed');
    this.#abort.abort();
    this.#dropParts();
  }

  /** Another session has taken the row over: nothing that happens on this handle counts any more. */
  displace(reason: string): void {
    this.#fail(new SftpError(SftpStatus.failure, reason));
  }

  #dropParts(): void {
    this.#props.budget.release(this.#partBytes);
    this.#parts = [];
    this.#partBytes = 0;
  }

  async close(): Promise<void> {
    try {
      throwUnlessCommitted(await this.#commit());
    } catch (error) {
      throw toSftpError(error, this.path);
    } finally {
      this.#end();
    }
  }

  async #commit(): Promise<Outcome> {
    const { context } = this.#props;
    await context.failpoints.hit('upload.closing');
    const single = this.#ref === undefined && this.#opening === undefined && this.#staging.size === 0 && this.#partBytes <= context.store.limits.maxPutBytes;
    if (!single) this.relieve();
    await Promise.all(this.#staging);
    if (this.#failure !== undefined) {
      await this.#giveUp();
      throw this.#failure;
    }
    const blocks = single ? [] : this.#sortedBlocks();
    const content = single || blocks.length === 0 ? { parts: this.#parts, sizeBytes: this.#partBytes } : undefined;
    const plan = this.#plan(blocks);
    const ref = await this.#toCommitting(plan);
    if (ref === undefined) return { kind: 'displaced' };
    await context.failpoints.hit('upload.committing');
    const { name, id } = this.#props;
    const effect = { store: context.store, id, name, blocks, metadata: plan.metadata, ...(content === undefined ? {} : { content }) };
    return finish(context, ref, {
      live: true,
      mayLandLate: true,
      priorEtag: plan.priorEtag,
      eventType: 'dev.skiff.file.uploaded',
      refuseReplacing: this.#props.refuseReplacing,
      attempt: (priorEtag, signal) => commitUpload(effect, priorEtag, signal),
    });
  }

  #plan(blocks: readonly BlockRef[]): CommitPlan {
    const mtime: Record<string, string> = this.#modifiedAt === undefined ? {} : { [MTIME_METADATA_KEY]: String(this.#modifiedAt) };
    return {
      blocks,
      sizeBytes: this.#received,
      priorEtag: this.#props.priorEtag,
      metadata: { [UPLOAD_METADATA_KEY]: this.id, ...mtime },
      event: this.#props.planEvent(this.#received),
    };
  }

  async #toCommitting(plan: CommitPlan): Promise<OperationRef | undefined> {
    const { context } = this.#props;
    const ref = this.#ref;
    if (ref === undefined) return (await this.#props.begin(plan)).ref;
    const answer = await withDatabase(
      context,
      () => context.log.committing(ref, plan),
      // Came through after all, when nobody waited for it any more: recovery completes it.
      () => context.parking.park(ref),
    );
    if (answer === undefined) {
      await context.parking.park(ref);
      throw new SftpError(SftpStatus.failure, 'the service is busy: its database cannot be reached; the upload can be resumed later');
    }
    return answer.value === undefined ? undefined : ref;
  }

  #sortedBlocks(): readonly BlockRef[] {
    // Blocks finish in any order.
    return this.#blocks.toSorted(compareOffsets);
  }

  /** The channel went away: what has arrived stays resumable, nothing becomes visible. */
  abandon(): void {
    if (this.#ended) return;
    if (this.#ref !== undefined || this.#opening !== undefined) this.relieve();
    const { uploads, logger } = this.#props.context;
    uploads.ending(this.#abandonLater().catch((error: unknown) => logger.error({ operation: this.id, err: error }, 'could not give an upload up')));
  }

  async #abandonLater(): Promise<void> {
    await Promise.all(this.#staging);
    await this.#giveUp();
    this.#end();
  }

  async #giveUp(): Promise<void> {
    const ref = this.#ref ?? (await this.#opening?.catch(() => undefined));
    if (ref !== undefined) await this.#props.context.parking.park(ref);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#dropParts();
    this.#props.budget.unregister(this);
    this.#props.context.uploads.remove(this);
    this.#props.onEnd(this);
  }
}
