import { type FSWatcher, watch } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import type { Condition } from '@skiff/model/condition';
import type { EventRoute } from '@skiff/model/event-route';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { SftpUser } from '@skiff/model/sftp-user';
import { type Clock, systemClock } from '@skiff/runtime/clock';
import type { Logger } from '@skiff/runtime/logger';
import {
  type ChangedRef,
  type ResourceEvent,
  type ResourceRef,
  type ResourceSource,
  refKey,
  type SecretLookup,
  type StatusDetails,
} from '../resource-source.ts';
import { FolderLoader, type FolderLook, type FolderTiming } from './folder-loader.ts';
import { describeProblem, withFolderProblems } from './folder-status.ts';
import type { FileState, FolderProblem, FolderView } from './folder-view.ts';
import { type ObjectRecords, openObjectRecords } from './object-records.ts';
import type { StatusReport } from './status-file.ts';
import { openStatusStore, type StatusStore } from './status-store.ts';
import { changedRefs, problemsByRef } from './view-changes.ts';

export interface FolderSourceOptions {
  /** Folder of manifests; may lie on a mounted volume. Need not be there yet. */
  readonly directory: string;
  /** Folder that this process alone writes to. Made when missing. */
  readonly stateDirectory: string;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly timing?: Partial<FolderTiming>;
}

/** A folder of manifests in place of the Kubernetes API. */
export interface FolderSource extends ResourceSource {
  /** What is wrong in the folder at present. */
  problems(): readonly FolderProblem[];
  /** What `status.json` says or is about to say. */
  report(): StatusReport;
}

/** Together below 1.5 s from the end of a change to its effect. */
const DEFAULT_TIMING: FolderTiming = { pollMs: 1000, settleMs: 300, maxUnsettledMs: 3000 };
/** Between two scans, however many notices there are, in milliseconds. */
const MIN_SCAN_INTERVAL_MS = 100;
/** Looking takes at most a fifth of the time where a scan is slow, but no change waits longer than this for the next, in milliseconds. */
const REST_PER_SCAN = 4;
const MAX_REST_MS = 5000;

/**
 * Makes the source; {@link ResourceSource.start} reads the folder.
 *
 * @example
 * const source = createFolderSource({ directory: 'deploy/quickstart', stateDirectory: '.skiff', logger });
 * await source.start(signal);
 */
export function createFolderSource(options: FolderSourceOptions): FolderSource {
  return new PolledFolder(options);
}

class PolledFolder implements FolderSource {
  readonly #options: FolderSourceOptions;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #timing: FolderTiming;
  readonly #loader: FolderLoader;
  readonly #listeners = new Set<(changed: ChangedRef) => void>();
  readonly #stopping = new AbortController();
  #records: ObjectRecords | undefined;
  #statuses: StatusStore | undefined;
  #view: FolderView = { resources: new Map(), secrets: new Map(), problems: [], complete: false };
  #lists: ResourceLists = { endpoints: [], users: [], routes: [] };
  #problems: ReadonlyMap<string, readonly FolderProblem[]> = new Map();
  #ignored = new Map<string, readonly string[]>();
  #loaded = false;
  #wake: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: FolderSourceOptions) {
    this.#options = options;
    this.#logger = options.logger.child({ folder: options.directory });
    this.#clock = options.clock ?? systemClock;
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#loader = new FolderLoader({ directory: options.directory, timing: this.#timing, clock: this.#clock });
  }

  async start(signal: AbortSignal): Promise<void> {
    const { stateDirectory, logger } = this.#options;
    const either = AbortSignal.any([signal, this.#stopping.signal]);
    await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
    this.#records = await openObjectRecords(stateDirectory, either);
    this.#statuses = await openStatusStore({ stateDirectory, logger, now: () => this.#clock.now() });
    while (!this.#loaded) {
      if ((await this.#look(either)) === 'moving') await this.#pause(this.#timing.settleMs);
      either.throwIfAborted();
    }
    this.#running = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#running;
    await this.#statuses?.close();
  }

  endpoints(): readonly SftpEndpoint[] {
    return this.#lists.endpoints;
  }
  users(): readonly SftpUser[] {
    return this.#lists.users;
  }
  routes(): readonly EventRoute[] {
    return this.#lists.routes;
  }

  mayExist(ref: ResourceRef): boolean {
    return !this.#view.complete || this.#problems.has(refKey(ref));
  }

  problems(): readonly FolderProblem[] {
    return this.#view.problems;
  }

  report(): StatusReport {
    return this.#statuses?.report() ?? { writtenAt: this.#clock.now().toISOString(), resources: [], problems: [] };
  }

  subscribe(listener: (changed: ChangedRef) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  secretValue(namespace: string, name: string, key: string): Promise<SecretLookup> {
    const secret = this.#view.secrets.get(refKey({ kind: 'Secret', namespace, name }));
    if (secret === undefined) return Promise.resolve({ kind: 'secretNotFound' });
    const value = secret.values.get(key);
    return Promise.resolve(value === undefined ? { kind: 'keyNotFound' } : { kind: 'found', value });
  }

  status(ref: ResourceRef): ReturnType<ResourceSource['status']> {
    return this.#statuses?.get(refKey(ref));
  }

  writeStatus(ref: ResourceRef, conditions: readonly Condition[], { address: _, ...details }: StatusDetails = {}): Promise<void> {
    if (this.#view.resources.has(refKey(ref))) this.#setStatus(refKey(ref), conditions, details);
    return Promise.resolve();
  }

  recordEvent(ref: ResourceRef, event: ResourceEvent): void {
    const fields = { ref: refKey(ref), reason: event.reason, message: event.message };
    if (event.type === 'Warning') this.#logger.warn(fields, 'resource event');
    else this.#logger.info(fields, 'resource event');
  }

  #setStatus(ref: string, conditions: readonly Condition[], details?: Omit<StatusDetails, 'address'>): void {
    const previous = this.#statuses?.get(ref)?.conditions ?? [];
    this.#statuses?.set(ref, withFolderProblems(conditions, this.#problems.get(ref) ?? [], { previous, now: this.#clock.now() }), details);
  }

  async #follow(): Promise<void> {
    let watcher: FSWatcher | undefined;
    while (!this.#stopping.signal.aborted) {
      watcher ??= this.#watch(() => {
        watcher = undefined;
      });
      const startedMs = this.#clock.monotonicMs();
      let outcome: FolderLook['kind'] = 'same';
      try {
        outcome = await this.#look(this.#stopping.signal);
      } catch (err) {
        if (this.#stopping.signal.aborted) break;
        this.#logger.error({ err }, 'folder cannot be read');
      }
      // Reading what has changed is work that was asked for: it earns no rest.
      const scanMs = outcome === 'changed' ? 0 : this.#clock.monotonicMs() - startedMs;
      const restMs = Math.min(MAX_REST_MS, Math.max(MIN_SCAN_INTERVAL_MS, REST_PER_SCAN * scanMs));
      if (outcome === 'moving') await this.#pause(Math.max(this.#timing.settleMs, restMs));
      else {
        await this.#pause(restMs);
        await this.#pause(this.#timing.pollMs - restMs, { untilNotice: true });
      }
    }
    watcher?.close();
  }

  /** A hint only: inotify misses mounted volumes, swapped directories and whatever overflows its queue. */
  #watch(lost: () => void): FSWatcher | undefined {
    try {
      const watcher = watch(this.#options.directory, { persistent: false }, () => this.#wake?.());
      watcher.on('error', () => {
        watcher.close();
        lost();
      });
      return watcher;
    } catch {
      // The folder is not there or the machine is out of watches: the scans see to it.
      return undefined;
    }
  }

  async #pause(ms: number, options?: { readonly untilNotice: boolean }): Promise<void> {
    if (ms <= 0 || this.#stopping.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake = () => {
        if (options?.untilNotice === true || this.#stopping.signal.aborted) done();
      };
    });
  }

  async #look(signal: AbortSignal): Promise<FolderLook['kind']> {
    const look = await this.#loader.look(signal);
    if (look.kind === 'changed') {
      this.#logIgnored(look.files);
      this.#show(look.view);
      this.#loaded = true;
    }
    if (look.kind !== 'moving') await this.#saveRecords(signal);
    return look.kind;
  }

  #show(read: FolderView): void {
    const before = this.#view;
    const bare = new Map([...read.resources].map(([ref, { resource }]) => [ref, resource]));
    const stamped = this.#records?.stamp(bare, this.#clock.now()) ?? bare;
    const resources = new Map([...read.resources].map(([ref, viewed]) => [ref, { ...viewed, resource: stamped.get(ref) ?? viewed.resource }]));
    this.#view = { ...read, resources };
    this.#lists = listsOf(resources);
    this.#problems = problemsByRef(read.problems);
    this.#logProblems(before.problems, read.problems);
    this.#statuses?.setProblems(read.problems.map(({ file, line, column, message }) => ({ file, line, column, message })));
    if (read.complete) {
      const present = (ref: string): boolean => resources.has(ref) || this.#problems.has(ref);
      this.#records?.prune(present);
      this.#statuses?.prune(present);
    }
    // No reconciler will speak for an object of which there is no valid version.
    for (const ref of this.#problems.keys()) if (!resources.has(ref) && !ref.startsWith('Secret/')) this.#setStatus(ref, []);
    for (const changed of changedRefs(before, this.#view)) for (const listener of this.#listeners) listener(changed);
  }

  /** What was seen first counts although it cannot be noted down: a full disk must not keep a suspension from taking effect. */
  async #saveRecords(signal: AbortSignal): Promise<void> {
    try {
      await this.#records?.save(signal);
    } catch (err) {
      signal.throwIfAborted();
      this.#logger.error({ err }, 'record of objects cannot be written');
    }
  }

  #logProblems(before: readonly FolderProblem[], after: readonly FolderProblem[]): void {
    const known = new Set(before.map(describeProblem));
    const present = new Set(after.map(describeProblem));
    for (const problem of after) {
      const { file, line, column, ref, message } = problem;
      if (!known.has(describeProblem(problem))) this.#logger.error({ file, line, column, ref, problem: message }, 'manifest refused');
    }
    for (const { file, ref, ...problem } of before) {
      if (!present.has(describeProblem({ file, ref, ...problem }))) this.#logger.info({ file, ref }, 'manifest problem solved');
    }
  }

  #logIgnored(files: ReadonlyMap<string, FileState>): void {
    for (const [file, { ignoredKinds }] of files) {
      if (ignoredKinds.length > 0 && ignoredKinds.join() !== this.#ignored.get(file)?.join()) this.#logger.info({ file, kinds: ignoredKinds }, 'kinds ignored');
    }
    this.#ignored = new Map([...files].map(([file, { ignoredKinds }]) => [file, ignoredKinds]));
  }
}

interface ResourceLists {
  readonly endpoints: readonly SftpEndpoint[];
  readonly users: readonly SftpUser[];
  readonly routes: readonly EventRoute[];
}

function listsOf(resources: FolderView['resources']): ResourceLists {
  const all = [...resources.values()].map(({ resource }) => resource);
  return {
    endpoints: all.filter((resource) => resource.kind === 'SftpEndpoint'),
    users: all.filter((resource) => resource.kind === 'SftpUser'),
    routes: all.filter((resource) => resource.kind === 'EventRoute'),
  };
}
