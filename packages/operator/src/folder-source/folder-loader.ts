import { join } from 'node:path';
import type { Clock } from '@skiff/runtime/clock';
import { type FileState, type FolderProblem, type FolderView, mergeFolder } from './folder-view.ts';
import { readManifestFile } from './read-manifest-file.ts';
import { type FolderScan, type ScanProblem, scanFolder } from './scan-folder.ts';

export interface FolderTiming {
  /** Time between two scans, in milliseconds. Scans are the truth; notices of the file system only make the next one come sooner. */
  readonly pollMs: number;
  /** How long the folder must be still before it is read, in milliseconds: a `git checkout` or a `cp` is not one step. */
  readonly settleMs: number;
  /** After this long in motion, in milliseconds, those files that are still are read all the same. */
  readonly maxUnsettledMs: number;
}

export type FolderLook =
  /** Nothing new since the last view. */
  | { readonly kind: 'same' }
  /** The folder is being written to: look again after the settle time. */
  | { readonly kind: 'moving' }
  | { readonly kind: 'changed'; readonly view: FolderView; readonly files: ReadonlyMap<string, FileState> };

/** Timers may fire a little early; two looks that far apart still count as one settle time. */
const TIMER_SLACK_MS = 5;

interface LoadedFile extends FileState {
  /** Undefined when the file must be read again whatever its fingerprint. */
  readonly fingerprint: string | undefined;
}

interface Sighting {
  readonly scan: FolderScan;
  readonly print: string;
  /** Monotonic, in milliseconds. */
  readonly stillSinceMs: number;
  readonly movingSinceMs: number;
}

/** Turns the state of a folder into views of it, reading only files that have changed. One look at a time. */
export class FolderLoader {
  readonly #directory: string;
  readonly #timing: FolderTiming;
  readonly #clock: Clock;
  #files = new Map<string, LoadedFile>();
  #sighting: Sighting | undefined;
  #appliedPrint: string | undefined;

  constructor(options: { readonly directory: string; readonly timing: FolderTiming; readonly clock: Clock }) {
    this.#directory = options.directory;
    this.#timing = options.timing;
    this.#clock = options.clock;
  }

  /** @throws only when `signal` aborts. */
  async look(signal: AbortSignal): Promise<FolderLook> {
    const scan = await scanFolder(this.#directory, { signal });
    const print = printOf(scan);
    const nowMs = this.#clock.monotonicMs();
    const before = this.#sighting;
    if (print === this.#appliedPrint) {
      this.#sighting = undefined;
      return { kind: 'same' };
    }
    if (before?.print === print) {
      if (nowMs - before.stillSinceMs < this.#timing.settleMs - TIMER_SLACK_MS) return { kind: 'moving' };
      return await this.#apply(scan, print, signal);
    }
    const movingSinceMs = before?.movingSinceMs ?? nowMs;
    this.#sighting = { scan, print, stillSinceMs: nowMs, movingSinceMs };
    if (before === undefined || nowMs - movingSinceMs < this.#timing.maxUnsettledMs) return { kind: 'moving' };
    this.#sighting = { scan, print, stillSinceMs: nowMs, movingSinceMs: nowMs };
    return await this.#apply(this.#stillPart(before.scan, scan), undefined, signal);
  }

  /** The files that two scans agree on; for the others, what is loaded of them stands. */
  #stillPart(before: FolderScan, after: FolderScan): FolderScan {
    const files = new Map([...after.files].filter(([path, file]) => before.files.get(path)?.fingerprint === file.fingerprint));
    const moving = [...new Set([...before.files.keys(), ...after.files.keys()])].filter((path) => !files.has(path));
    const inMotion: ScanProblem[] = moving.map((path) => ({ path, message: 'is being written to without a pause; taken as it was before' }));
    return { files, problems: [...after.problems, ...inMotion] };
  }

  async #apply(scan: FolderScan, print: string | undefined, signal: AbortSignal): Promise<FolderLook> {
    const files = new Map<string, LoadedFile>();
    for (const [path, state] of this.#files) if (!scan.files.has(path) && isBelowAny(path, scan.problems)) files.set(path, state);
    let retry = false;
    for (const [path, scanned] of scan.files) {
      const previous = this.#files.get(path);
      if (previous?.fingerprint === scanned.fingerprint) {
        files.set(path, previous);
        continue;
      }
      const read = await readManifestFile({ path: join(this.#directory, path), name: path, scanned, previous }, signal);
      if (read.kind === 'moving') return read;
      retry ||= read.retry;
      files.set(path, { ...read.state, fingerprint: read.retry ? undefined : scanned.fingerprint });
    }
    this.#files = files;
    this.#appliedPrint = retry ? undefined : print;
    if (print !== undefined && !retry) this.#sighting = undefined;
    const problems: FolderProblem[] = scan.problems.map((problem) => ({ file: problem.path, ref: undefined, line: 1, column: 1, message: problem.message }));
    return { kind: 'changed', view: mergeFolder(files, problems), files };
  }
}

function printOf(scan: FolderScan): string {
  return JSON.stringify([[...scan.files].map(([path, file]) => [path, file.fingerprint]), scan.problems]);
}

function isBelowAny(path: string, problems: readonly ScanProblem[]): boolean {
  return problems.some((problem) => problem.path === '' || problem.path === path || path.startsWith(`${problem.path}/`));
}
