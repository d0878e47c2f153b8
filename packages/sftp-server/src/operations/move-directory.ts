import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationRef } from '@skiff/database/operation-log';
import { isTransient, StoreError } from '@skiff/model/store-error';
import type { OperationId } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { renamedBelow, type WalkStep, walkDirectory } from './directory-walk.ts';
import { abort, finishedByOthers, park, record } from './finish.ts';
import { type Moved, moveFile, moveMarker } from './move-file.ts';
import type { OperationContext } from './operation-context.ts';
import { type Outcome, reasonOf } from './outcome.ts';
import { withDatabase } from './with-database.ts';

export interface MoveDirectoryProps {
  readonly id: OperationId;
  readonly source: BlobName;
  readonly target: BlobName;
  /**
   * Looks, with the locks held, whether the directory can be moved; returns why not. Recovery has none: what was not begun by its
   * owner never is.
   */
  readonly check?: (signal: AbortSignal) => Promise<string | undefined>;
  /** Recovery stops after this long and goes on in its next round, so that it keeps nobody else waiting. Default: no end. */
  readonly sliceMs?: number;
}

/** Files moved at a time by one rename. */
const CONCURRENCY = 16;
/** A rename that gets nothing done for this long is given up, for recovery to finish. */
const STALLED_MS = 10_000;
/** Each after the first needs an outside tool that writes below the old name. */
const MAX_PASSES = 10;
const CHECK_TIMEOUT_MS = 60_000;
/** One file, with the copy of a large one. */
const MOVE_TIMEOUT_MS = 120_000;
const RETRY_PAUSE_MS = 250;

const DATABASE = 'the database cannot be reached';

/**
 * Renames a directory (DESIGN P2.9), under the locks on both names and with nothing under way below either. First it is
 * written down that files are being moved; from there on there is only forward: whatever still lies at the old name is moved,
 * by this process or by any other that finds the row, until nothing is left there. What to do is read from the store each time, so
 * that no list of files has to be kept.
 */
export async function moveDirectory(context: OperationContext, ref: OperationRef, props: MoveDirectoryProps): Promise<Outcome> {
  try {
    const journal = await withDatabase(context, () => context.log.movedFiles(ref.id));
    if (journal === undefined) return await park(context, ref, DATABASE);
    if (journal.value === undefined) {
      const refusal = await refusalOf(props);
      if (refusal !== undefined) return await abort(context, ref, { reason: refusal, lookAgain: false });
      const begun = await withDatabase(context, () => context.log.advanceRename(ref, 0));
      if (begun === undefined) return await park(context, ref, DATABASE);
      if (!begun.value) return await finishedByOthers(context, ref);
      await context.failpoints.hit('renamedir.journalled');
    }
    return await new DirectoryMove(context, ref, props, journal.value ?? 0).run();
  } catch (error) {
    await context.parking.park(ref);
    throw error;
  }
}

async function refusalOf({ check }: MoveDirectoryProps): Promise<string | undefined> {
  if (check === undefined) return 'its server ended before anything was moved';
  try {
    return await check(AbortSignal.timeout(CHECK_TIMEOUT_MS));
  } catch (error) {
    if (error instanceof StoreError) return `nothing was moved: ${reasonOf(error)}`;
    throw error;
  }
}

class DirectoryMove {
  readonly #context: OperationContext;
  readonly #ref: OperationRef;
  readonly #props: MoveDirectoryProps;
  readonly #startedAt: number;
  #moved: number;
  #progressAt: number;
  #kept = 0;
  #lapsed = false;
  #ownedUntil: number;

  constructor(context: OperationContext, ref: OperationRef, props: MoveDirectoryProps, moved: number) {
    this.#context = context;
    this.#ref = ref;
    this.#props = props;
    this.#moved = moved;
    this.#startedAt = context.clock.monotonicMs();
    this.#progressAt = this.#startedAt;
    this.#ownedUntil = this.#startedAt + context.lease.remainingMs();
  }

  async run(): Promise<Outcome> {
    const { context, ref } = { context: this.#context, ref: this.#ref };
    for (let passes = 1; ; ) {
      const before = this.#moved;
      try {
        const stopped = await this.#pass();
        if (stopped !== undefined) return stopped;
        if (!(await this.#somethingLeft())) break;
        // What is left cannot be moved, or somebody outside goes on writing there: the client is told, and the log.
        if (this.#moved === before || ++passes > MAX_PASSES) break;
      } catch (error) {
        if (!isTransient(error) && !(error instanceof StoreError && error.code === 'aborted')) return park(context, ref, reasonOf(error));
        if (context.clock.monotonicMs() - this.#progressAt > STALLED_MS) return park(context, ref, reasonOf(error));
        context.logger.warn({ operation: ref.id, err: error }, 'moving a directory failed, trying again');
        await sleep(RETRY_PAUSE_MS * (0.5 + Math.random()));
      }
    }
    await context.failpoints.hit('renamedir.moved');
    const left = await this.#somethingLeft();
    const outcome = await record(context, ref, { effect: { kind: 'done', etag: undefined }, eventType: 'dev.skiff.directory.renamed' });
    if (!left || outcome.kind !== 'committed') return outcome;
    context.logger.error({ operation: ref.id, source: this.#props.source, kept: this.#kept }, 'a renamed directory could not be moved whole');
    return { kind: 'committed', incomplete: 'the directory was renamed, but some of it stays at its old name: others have taken or hold those files' };
  }

  /** Moves everything that it finds at the old name, once. An outcome: stop here. */
  async #pass(): Promise<Outcome | undefined> {
    const { store } = this.#context;
    const { source } = this.#props;
    this.#kept = 0;
    const walk = new AbortController();
    try {
      for await (const step of walkDirectory(store, source, walk.signal)) {
        const stopped = (await this.#take(step)) ?? (await this.#advance());
        if (stopped !== undefined) return stopped;
      }
      return await this.#take({ kind: 'directory', name: source });
    } finally {
      walk.abort();
    }
  }

  async #take(step: WalkStep): Promise<Outcome | undefined> {
    const names = step.kind === 'files' ? [...step.names] : [step.name];
    const move = step.kind === 'files' ? moveFile : moveMarker;
    const { store, failpoints } = this.#context;
    const { id, source, target } = this.#props;
    const failures: unknown[] = [];
    const work = async () => {
      for (let name = names.shift(); name !== undefined; name = names.shift()) {
        // Unlike AbortSignal.timeout this one goes with its file: thousands would live on for two minutes.
        const deadline = new AbortController();
        const timer = setTimeout(() => deadline.abort(), MOVE_TIMEOUT_MS);
        const { signal } = deadline;
        const props = { store, id, source: name, target: renamedBelow(name, source, target), failpoints, signal, owned: () => this.#owned() };
        try {
          if (!this.#lapsed) this.#count(await move(props), name);
        } catch (error) {
          failures.push(error);
        } finally {
          clearTimeout(timer);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, names.length) }, work));
    if (this.#lapsed) return park(this.#context, this.#ref, 'this server could not reach its database in time');
    if (failures.length > 0) throw failures[0];
    return undefined;
  }

  #count(moved: Moved, name: BlobName): void {
    if (moved === 'moved') {
      this.#moved++;
      this.#progressAt = this.#context.clock.monotonicMs();
    } else if (moved === 'kept') {
      this.#kept++;
      this.#context.logger.warn({ operation: this.#ref.id, blob: name }, 'a file of a renamed directory stays at its old name');
    }
  }

  /**
   * Whether nobody can have taken the operation over: so it is as long as this process's lease has never run out since it had the
   * row. Once it has, somebody else may have finished the rename, and what lies at the old name may be new.
   */
  #owned(): boolean {
    const { clock, lease } = this.#context;
    const now = clock.monotonicMs();
    if (now >= this.#ownedUntil) this.#lapsed = true;
    else this.#ownedUntil = Math.max(this.#ownedUntil, now + lease.remainingMs());
    return !this.#lapsed;
  }

  /** After each batch: whoever was displaced stops here, and recovery when its time is over. */
  async #advance(): Promise<Outcome | undefined> {
    const [context, ref] = [this.#context, this.#ref];
    const answer = await withDatabase(context, () => context.log.advanceRename(ref, this.#moved));
    if (answer === undefined) return park(context, ref, DATABASE);
    if (!answer.value) return finishedByOthers(context, ref);
    const { sliceMs } = this.#props;
    if (sliceMs === undefined || context.clock.monotonicMs() - this.#startedAt < sliceMs) return undefined;
    return park(context, ref, 'recovery goes on with it shortly');
  }

  async #somethingLeft(): Promise<boolean> {
    return (await this.#context.store.stat(this.#props.source, AbortSignal.timeout(MOVE_TIMEOUT_MS))) !== undefined;
  }
}
