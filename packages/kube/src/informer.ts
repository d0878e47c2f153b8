import type { Logger } from '@skiff/runtime/logger';
import type { BackOff } from '@skiff/runtime/retry';
import { retryDelayMs } from './back-off.ts';
import { type Clock, sleep } from './clock.ts';
import { HandlerList, type KeyHandler } from './handler-list.ts';
import type { KubeReader, WatchStream } from './kube-client.ts';
import { isExpired, KubeError, noAnswer } from './kube-error.ts';
import { type KubeObject, keyOf } from './kube-object.ts';
import { listInto } from './list-into.ts';
import { type IndexFunction, ObjectStore } from './object-store.ts';
import type { ResourceType } from './resource-type.ts';
import type { WatchEvent } from './watch-stream.ts';

export interface InformerProps {
  readonly client: KubeReader;
  readonly type: ResourceType;
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly indices?: Readonly<Record<string, IndexFunction>>;
  /** What is kept of an object. Default: everything but `metadata.managedFields`, which is half of many objects. */
  readonly keep?: (object: KubeObject) => KubeObject;
  readonly timings?: Partial<InformerTimings>;
  readonly clock: Clock;
  /** Gives [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
}

export interface InformerTimings {
  /** The server ends a watch after a random time between these two, ms. */
  readonly watchMinMs: number;
  readonly watchMaxMs: number;
  /**
   * A watch without an event or bookmark for this long is given up and opened again where it was, ms. The server sends
   * bookmarks about once a minute, so on a sound connection this rarely happens; for a type that has never seen an event
   * the server has no bookmark to send, and the price is one cheap request. TCP keep-alive alone would not do: a load
   * balancer in between answers it for an API server that is long gone.
   */
  readonly silenceMs: number;
  /**
   * Lists everything again when a watch ends and the last list is older than this, ms. A net below the net: a watch from a
   * version that the server has yet to reach (etcd was restored from a backup) is accepted and stays silent.
   */
  readonly relistMs: number;
  readonly pageSize: number;
  readonly backOff: BackOff;
}

const DEFAULT_TIMINGS: InformerTimings = {
  watchMinMs: 5 * 60_000,
  watchMaxMs: 10 * 60_000,
  // 75 s plus 15 s to open the next one: a blackhole is noticed within 90 s.
  silenceMs: 75_000,
  relistMs: 30 * 60_000,
  pageSize: 500,
  backOff: { minDelayMs: 500, maxDelayMs: 30_000 },
};

/** After so many refused watches in a row the resource version itself is suspected, and everything is listed again. */
const REFUSALS_BEFORE_LIST = 3;
/** A watch that ends sooner without an event counts as failed, or a broken proxy would make a busy loop. */
const SHORT_WATCH_MS = 1_000;

export interface InformerStatus {
  readonly synced: boolean;
  /** A watch is open. */
  readonly watching: boolean;
  /** Time since the server was last heard from: page, event, bookmark or accepted watch. */
  readonly lastEventAgeMs: number;
  readonly objects: number;
  readonly lists: number;
  readonly watches: number;
  readonly failures: number;
  /** Watches that went silent. */
  readonly silences: number;
}

/**
 * Keeps a copy of all objects of a type: a list in pages, then a watch from there, for ever. No answer of the server and
 * no fault of the network ends it; only the signal does. Handlers get keys, never objects: they look at the store when
 * they run, so a missed intermediate state cannot matter.
 */
export class Informer {
  readonly type: ResourceType;
  readonly store: ObjectStore;
  readonly #props: InformerProps;
  readonly #timings: InformerTimings;
  readonly #handlers: HandlerList;
  readonly #synced = Promise.withResolvers<void>();
  readonly #counts = { lists: 0, watches: 0, failures: 0, silences: 0 };
  #isSynced = false;
  #watching = false;
  #heardAtMs: number;
  #listedAtMs = 0;
  /** Where the next watch starts; undefined: a list is due. */
  #resourceVersion: string | undefined;
  #failuresInRow = 0;
  #refusalsInRow = 0;

  constructor(props: InformerProps) {
    this.type = props.type;
    this.#props = { ...props, logger: props.logger.child({ resource: props.type.plural }) };
    this.#timings = { ...DEFAULT_TIMINGS, ...props.timings };
    this.store = new ObjectStore(props.indices);
    this.#handlers = new HandlerList({ clock: props.clock, logger: this.#props.logger });
    this.#heardAtMs = props.clock.nowMs();
  }

  /**
   * Calls `handler` with the key of each object that is there, appears, changes or goes; one that throws gets the key again
   * later. The returned function ends it.
   */
  onKey(handler: KeyHandler): () => void {
    return this.#handlers.add(handler, this.store.keys());
  }

  /** The store has held everything at least once. */
  get hasSynced(): boolean {
    return this.#isSynced;
  }

  /** @throws {unknown} the signal's reason when it comes first. */
  async waitForSync(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    await Promise.race([this.#synced.promise, promise]).finally(() => signal.removeEventListener('abort', abort));
  }

  get status(): InformerStatus {
    return {
      ...this.#counts,
      synced: this.#isSynced,
      watching: this.#watching,
      lastEventAgeMs: this.#props.clock.nowMs() - this.#heardAtMs,
      objects: this.store.size,
    };
  }

  /** Resolves when the signal is aborted, and never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === undefined || this.#relistIsDue()) await this.#list(signal);
        await this.#watch(this.#resourceVersion ?? '', signal);
      } catch (error) {
        if (signal.aborted) break;
        await this.#afterFailure(error, signal);
      }
    }
    this.#handlers.stop();
  }

  #relistIsDue(): boolean {
    return this.#props.clock.nowMs() - this.#listedAtMs >= this.#timings.relistMs;
  }

  async #list(signal: AbortSignal): Promise<void> {
    this.#counts.lists++;
    const { client, type, namespace, labelSelector, fieldSelector } = this.#props;
    this.#resourceVersion = await listInto({
      client,
      type,
      query: { namespace, labelSelector, fieldSelector, signal },
      pageSize: this.#timings.pageSize,
      onPage: (objects) => {
        this.#heard();
        for (const object of objects) this.#set(object);
      },
      onComplete: (seen) => {
        for (const key of this.store.keys()) if (!seen.has(key)) this.#delete(key);
      },
    });
    this.#listedAtMs = this.#props.clock.nowMs();
    this.#refusalsInRow = 0;
    if (this.#isSynced) return;
    this.#isSynced = true;
    this.#synced.resolve();
    this.#props.logger.info({ objects: this.store.size }, 'informer is in sync');
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { client, type, namespace, labelSelector, fieldSelector, clock, random } = this.#props;
    const { watchMinMs, watchMaxMs } = this.#timings;
    const openedAtMs = clock.nowMs();
    this.#counts.watches++;
    const watchTimeoutMs = watchMinMs + (watchMaxMs - watchMinMs) * random();
    const stream = await client.watch(type, { namespace, labelSelector, fieldSelector, signal, resourceVersion, watchTimeoutMs });
    this.#heard();
    this.#watching = true;
    let events = 0;
    const silence = this.#guardSilence(stream);
    try {
      for await (const event of stream.events) {
        silence.reset();
        this.#heard();
        this.#take(event);
        events++;
      }
    } finally {
      silence.cancel();
      this.#watching = false;
      // A list alone does not end a row of failures, or a refused watch would be followed by lists without a pause.
      if (events > 0 || clock.nowMs() - openedAtMs >= SHORT_WATCH_MS) {
        this.#failuresInRow = 0;
        this.#refusalsInRow = 0;
      }
    }
    if (events === 0 && clock.nowMs() - openedAtMs < SHORT_WATCH_MS) throw noAnswer('the watch ended at once');
  }

  #guardSilence(stream: WatchStream): { reset(): void; cancel(): void } {
    const expire = () => {
      this.#counts.silences++;
      stream.close(noAnswer(`nothing came for ${this.#timings.silenceMs} ms`));
    };
    let cancel = this.#props.clock.schedule(this.#timings.silenceMs, expire);
    return {
      reset: () => {
        cancel();
        cancel = this.#props.clock.schedule(this.#timings.silenceMs, expire);
      },
      cancel: () => cancel(),
    };
  }

  #take(event: WatchEvent): void {
    switch (event.type) {
      case 'BOOKMARK':
        this.#resourceVersion = event.resourceVersion;
        return;
      case 'ADDED':
      case 'MODIFIED':
        this.#set(event.object);
        break;
      case 'DELETED':
        this.#delete(keyOf(event.object.metadata));
        break;
    }
    this.#resourceVersion = event.object.metadata.resourceVersion ?? this.#resourceVersion;
  }

  async #afterFailure(error: unknown, signal: AbortSignal): Promise<void> {
    const { logger, clock, random } = this.#props;
    this.#counts.failures++;
    if (isExpired(error)) {
      this.#resourceVersion = undefined;
      logger.debug({ err: error }, 'watch is too far behind, listing again');
    }
    if (error instanceof KubeError && error.httpStatus !== 0 && error.code !== 'throttled') {
      this.#refusalsInRow++;
      if (this.#refusalsInRow >= REFUSALS_BEFORE_LIST) this.#resourceVersion = undefined;
    }
    this.#failuresInRow++;
    const delayMs = retryDelayMs(error, this.#failuresInRow, this.#timings.backOff, random);
    // One broken connection is daily life; more of them in a row are worth a look.
    if (this.#failuresInRow > 2) logger.warn({ err: error, failures: this.#failuresInRow, delayMs }, 'informer cannot reach the API server');
    await sleep(clock, delayMs, signal);
  }

  #set(object: KubeObject): void {
    if (this.store.set((this.#props.keep ?? withoutManagedFields)(object))) this.#handlers.emit(keyOf(object.metadata));
  }

  #delete(key: string): void {
    if (this.store.delete(key)) this.#handlers.emit(key);
  }

  #heard(): void {
    this.#heardAtMs = this.#props.clock.nowMs();
  }
}

function withoutManagedFields(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}
