import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationRef } from '@skiff/database/operation-log';
import type { OperationId } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { BoundedTasks } from '../bounded-tasks.ts';
import { renamedBelow, walkDirectory } from './directory-walk.ts';
import { finishedByOthers, mayPass, park, record } from './finish.ts';
import { type Moved, type MoveProps, moveFile, moveMarker } from './move-file.ts';
import type { OperationContext } from './operation-context.ts';
import { type Outcome, reasonOf } from './outcome.ts';
import { withDatabase } from './with-database.ts';

export interface DirectoryMoveProps {
  readonly id: OperationId;
  readonly source: BlobName;
  readonly target: BlobName;
  /** Recovery stops after this long and goes on in its next round, so that it keeps nobody else waiting. Default: no end. */
  readonly sliceMs?: number;
}

/** Files moved at a time by one rename. */
const CONCURRENCY = 16;
/** Failures that end a pass: fewer may be files that are stuck while the others are not. */
const MAX_FAILURES = CONCURRENCY;
/** Directories that wait for what lies in them to be gone, with their markers. Any more are for the next pass. */
const MAX_WAITING_DIRECTORIES = 10_000;
/** How often the journal is moved on, and with it asked whether the operation is still this process's. */
const ADVANCE_EVERY_MS = 500;
/** A rename that gets nothing done for this long is given up, for recovery to finish. */
const STALLED_MS = 10_000;
/** Each after the first needs an outside tool that writes below the old name. */
const MAX_PASSES = 10;
/** One file, with the copy of a large one. */
const MOVE_TIMEOUT_MS = 120_000;
const RETRY_PAUSE_MS = 250;

export const DATABASE_LOST = 'the database cannot be reached';

/** A directory rename that is journalled: from here on there is only forward. */
export class DirectoryMove {
  readonly #context: OperationContext;
  readonly #ref: OperationRef;
  readonly #props: DirectoryMoveProps;
  readonly #startedAt: number;
  #moved: number;
  #progressAt: number;
  #advancedAt: number;
  #kept = 0;
  #failures: unknown[] = [];
  /** How the operation is left, once it must go no further. */
  #leave: (() => Promise<Outcome>) | undefined;
  #lapsed = false;
  #ownedUntil: number;

  /** `moved`: files so far, as the journal has it. */
  constructor(context: OperationContext, ref: OperationRef, props: DirectoryMoveProps, moved: number) {
    this.#context = context;
    this.#ref = ref;
    this.#props = props;
    this.#moved = moved;
    this.#startedAt = context.clock.monotonicMs();
    this.#progressAt = this.#startedAt;
    this.#advancedAt = this.#startedAt;
    this.#ownedUntil = this.#startedAt + context.lease.remainingMs();
  }

  async run(): Promise<Outcome> {
    const [context, ref] = [this.#context, this.#ref];
    for (let passes = 1; ; ) {
      const before = this.#moved;
      try {
        await this.#pass();
        if (this.#leave !== undefined) return await this.#leave();
        if (!(await this.#somethingLeft())) break;
        // What is left cannot be moved, or somebody outside goes on writing there: the client is told, and the log.
        if (this.#moved === before || ++passes > MAX_PASSES) break;
      } catch (error) {
        if (!mayPass(error) || context.clock.monotonicMs() - this.#progressAt > STALLED_MS) return park(context, ref, reasonOf(error));
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

  /** Moves everything that it finds at the old name, once. @throws what a file failed with. */
  async #pass(): Promise<void> {
    const { source } = this.#props;
    this.#kept = 0;
    this.#failures = [];
    const tasks = new BoundedTasks(CONCURRENCY);
    const walk = new AbortController();
    const waiting: BlobName[] = [];
    try {
      for await (const { files, directories } of walkDirectory(this.#context.store, source, walk.signal)) {
        await this.#moveAll(tasks, files, moveFile);
        if (!(await this.#mayGoOn())) break;
        waiting.push(...directories.slice(0, MAX_WAITING_DIRECTORIES - waiting.length));
      }
      await this.#moveMarkers(tasks, [...waiting, source]);
    } finally {
      walk.abort();
      // Before the operation is anybody else's, nothing of this pass is under way any more.
      await tasks.idle();
    }
    await this.#mayGoOn();
    if (this.#leave === undefined && this.#failures.length > 0) throw this.#failures[0];
  }

  async #moveAll(tasks: BoundedTasks, names: readonly BlobName[], move: (props: MoveProps) => Promise<Moved>): Promise<void> {
    for (const name of names) {
      if (!(await this.#mayGoOn())) return;
      await tasks.start(() => this.#move(name, move));
    }
  }

  /** Deepest first, each when all that lies in it has gone: not all stores remove a directory that holds something. */
  async #moveMarkers(tasks: BoundedTasks, names: readonly BlobName[]): Promise<void> {
    const byDepth = Map.groupBy(names, (name) => name.split('/').length);
    for (const [, level] of [...byDepth].sort(([a], [b]) => b - a)) {
      await tasks.idle();
      if (this.#failures.length > 0) return;
      await this.#moveAll(tasks, level, moveMarker);
    }
  }

  async #move(name: BlobName, move: (props: MoveProps) => Promise<Moved>): Promise<void> {
    const { store, failpoints } = this.#context;
    const { id, source, target } = this.#props;
    // Unlike AbortSignal.timeout this one goes with its file: thousands would live on for two minutes.
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), MOVE_TIMEOUT_MS);
    const { signal } = deadline;
    try {
      const moved = await move({ store, id, source: name, target: renamedBelow(name, source, target), failpoints, signal, owned: () => this.#owned() });
      this.#count(moved, name);
    } catch (error) {
      this.#failures.push(error);
    } finally {
      clearTimeout(timer);
    }
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
    const [now, remainingMs] = [clock.monotonicMs(), lease.remainingMs()];
    // Renewed after it had run out it is another lease; given back it is none.
    if (now >= this.#ownedUntil || remainingMs <= 0) this.#lapsed = true;
    else this.#ownedUntil = Math.max(this.#ownedUntil, now + remainingMs);
    return !this.#lapsed;
  }

  /** Whether one more may be begun: whoever was displaced begins nothing more, and neither does recovery when its time is over. */
  async #mayGoOn(): Promise<boolean> {
    const [context, ref] = [this.#context, this.#ref];
    const now = context.clock.monotonicMs();
    if (this.#lapsed) this.#leave ??= () => park(context, ref, 'this server could not reach its database in time');
    else if (this.#leave === undefined && now - this.#advancedAt >= ADVANCE_EVERY_MS) {
      this.#advancedAt = now;
      this.#leave = await this.#advance(now);
    }
    return this.#leave === undefined && this.#failures.length < MAX_FAILURES;
  }

  async #advance(now: number): Promise<(() => Promise<Outcome>) | undefined> {
    const [context, ref] = [this.#context, this.#ref];
    const answer = await withDatabase(context, () => context.log.advanceRename(ref, this.#moved));
    if (answer === undefined) return () => park(context, ref, DATABASE_LOST);
    if (!answer.value) return () => finishedByOthers(context, ref);
    const { sliceMs } = this.#props;
    return sliceMs !== undefined && now - this.#startedAt >= sliceMs ? () => park(context, ref, 'recovery goes on with it shortly') : undefined;
  }

  async #somethingLeft(): Promise<boolean> {
    return (await this.#context.store.stat(this.#props.source, AbortSignal.timeout(MOVE_TIMEOUT_MS))) !== undefined;
  }
}
