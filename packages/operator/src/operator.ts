import type { DeliveryHistory } from '@skiff/database/delivery-history';
import type { OperationLog } from '@skiff/database/operation-log';
import type { Condition } from '@skiff/model/condition';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import { objectKey } from '@skiff/model/object-meta';
import { type Clock, systemClock } from '@skiff/runtime/clock';
import type { Logger } from '@skiff/runtime/logger';
import type { EndpointSink } from './endpoint-sink.ts';
import type { HostKeyStore } from './host-keys/host-key-store.ts';
import { outboxLooks } from './reconcile/delayed-events.ts';
import { EMPTY_INDEX, indexSource, type WorkStage, workFor } from './reconcile/endpoint-index.ts';
import { reconcileEndpoint } from './reconcile/endpoint-reconciler.ts';
import { KeyedQueue, type RunOutcome } from './reconcile/keyed-queue.ts';
import type { ReconcileContext, RowRepository } from './reconcile/reconcile-context.ts';
import { type RouteDeliveryLooks, routeDeliveryLooks } from './reconcile/route-deliveries.ts';
import { routeStage } from './reconcile/route-stage.ts';
import { RowReconciler, type RowResult } from './reconcile/row-reconciler.ts';
import { type CredentialReaders, userStage } from './reconcile/user-stage.ts';
import { type ChangedRef, type ResourceSource, refFromKey, refKey } from './resource-source.ts';

export type { RowRepository };

export interface OperatorOptions {
  readonly source: ResourceSource;
  readonly repository: RowRepository;
  readonly sink: EndpointSink;
  readonly hostKeys: HostKeyStore;
  readonly credentials: CredentialReaders;
  /** What routes delivered, for their status. Absent: their statuses have no counters. */
  readonly deliveries?: Pick<DeliveryHistory, 'counts'>;
  /** Events that wait for the bus, for the status of endpoints. Absent: it says nothing of them. */
  readonly outbox?: Pick<OperationLog, 'outboxStatus'>;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** Everything is looked at again after this time, in milliseconds: repairs what others changed in the database. Default: 60,000. */
  readonly resyncMs?: number;
}

/** One endpoint as it runs. */
export interface EndpointView {
  /** `namespace/name` */
  readonly key: string;
  readonly settings: EndpointSettings;
  readonly hostKeys: readonly { readonly algorithm: string; readonly fingerprint: string }[];
  readonly conditions: readonly Condition[];
}

export interface EndpointViews {
  current(): readonly EndpointView[];
  /** Calls back after a view may have changed. Returns the way to unsubscribe. */
  subscribe(listener: () => void): () => void;
}

/** Turns resources into rows and running endpoints, and keeps it that way. */
export interface Operator {
  /** Starts the source, then the work. Returns when everything listed is queued; conditions tell when it is done. @throws when the source cannot start. */
  start(signal: AbortSignal): Promise<void>;
  /** Stops the work, then the source. Endpoints go on running. */
  stop(): Promise<void>;
  endpoints(): EndpointViews;
  /** What is left to do. */
  work(): OperatorWork;
}

export interface OperatorWork {
  /** Parts of endpoints that are worked on or wait for it. */
  readonly pending: number;
  /** Parts that failed and wait for their next attempt. */
  readonly retrying: number;
}

const DEFAULT_RESYNC_MS = 60_000;
/** Endpoints and kinds worked on at a time; each holds one connection to the database. */
const CONCURRENCY = 4;
/** Looks for endpoints that have rows or run and are no longer there. */
const SWEEP = 'sweep';

export function createOperator(options: OperatorOptions): Operator {
  return new LevelBasedOperator(options);
}

class LevelBasedOperator implements Operator {
  readonly #context: ReconcileContext;
  readonly #resyncMs: number;
  readonly #queue: KeyedQueue;
  readonly #rows: Readonly<Record<'users' | 'routes', { reconcile(endpointKey: string): Promise<RowResult> }>>;
  readonly #deliveries: RouteDeliveryLooks | undefined;
  readonly #databaseProblems = new Map<string, string>();
  readonly #views = new Map<string, Omit<EndpointView, 'conditions'>>();
  readonly #viewListeners = new Set<() => void>();
  readonly #revisits = new Map<string, NodeJS.Timeout>();
  readonly #changed = new Map<string, ChangedRef>();
  readonly #subscriptions: (() => void)[] = [];
  #index = EMPTY_INDEX;
  #planned: NodeJS.Immediate | undefined;
  #resync: NodeJS.Timeout | undefined;

  constructor(options: OperatorOptions) {
    const { source, repository, sink, hostKeys, credentials, logger } = options;
    const clock = options.clock ?? systemClock;
    const outbox = options.outbox === undefined ? undefined : outboxLooks({ outbox: options.outbox, repository, logger });
    this.#context = { source, repository, sink, hostKeys, outbox, logger, clock };
    this.#resyncMs = options.resyncMs ?? DEFAULT_RESYNC_MS;
    this.#deliveries = options.deliveries === undefined ? undefined : routeDeliveryLooks(options.deliveries, logger);
    this.#rows = {
      users: new RowReconciler(this.#context, userStage({ source, repository, credentials, clock })),
      routes: new RowReconciler(this.#context, routeStage({ source, repository, deliveries: this.#deliveries })),
    };
    this.#queue = new KeyedQueue({ run: (key, signal) => this.#run(key, signal), concurrency: CONCURRENCY, random: options.random ?? Math.random });
  }

  async start(signal: AbortSignal): Promise<void> {
    const { source, sink } = this.#context;
    this.#subscriptions.push(
      source.subscribe((ref) => this.#note(ref)),
      sink.subscribe((key) => this.#queue.add(workKey('endpoint', key))),
    );
    await source.start(signal);
    this.#addEverything();
    this.#resync = setInterval(() => this.#addEverything(), this.#resyncMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#resync);
    clearImmediate(this.#planned);
    for (const unsubscribe of this.#subscriptions.splice(0)) unsubscribe();
    for (const timer of this.#revisits.values()) clearTimeout(timer);
    await this.#queue.stop();
    await this.#context.source.stop();
  }

  endpoints(): EndpointViews {
    return {
      current: () =>
        [...this.#views.values()].map((view) => ({ ...view, conditions: this.#context.source.status(refFromKey('SftpEndpoint', view.key))?.conditions ?? [] })),
      subscribe: (listener) => {
        this.#viewListeners.add(listener);
        return () => {
          this.#viewListeners.delete(listener);
        };
      },
    };
  }

  work(): OperatorWork {
    const { size, retrying } = this.#queue;
    return { pending: size - retrying, retrying };
  }

  /** Changes that come together are looked at together: one pass over the lists, not one per object. */
  #note(ref: ChangedRef): void {
    this.#changed.set(refKey(ref), ref);
    this.#planned ??= setImmediate(() => {
      this.#planned = undefined;
      const before = this.#index;
      this.#index = indexSource(this.#context.source);
      const work = workFor(this.#changed.values(), before, this.#index);
      this.#changed.clear();
      for (const { stage, endpointKey } of work) this.#queue.add(workKey(stage, endpointKey));
    });
  }

  #addEverything(): void {
    this.#deliveries?.expire();
    this.#context.outbox?.expire();
    this.#index = indexSource(this.#context.source);
    for (const key of this.#index.endpointKeys) this.#addAll(key);
    this.#queue.add(SWEEP);
  }

  #addAll(endpointKey: string): void {
    for (const stage of ['endpoint', 'users', 'routes'] as const) this.#queue.add(workKey(stage, endpointKey));
  }

  async #run(key: string, signal: AbortSignal): Promise<RunOutcome> {
    try {
      if (key === SWEEP) return await this.#sweep();
      const { stage, endpointKey } = parseWorkKey(key);
      return stage === 'endpoint' ? await this.#runEndpoint(endpointKey, signal) : await this.#runRows(stage, endpointKey);
    } catch (err) {
      if (!signal.aborted) this.#context.logger.error({ work: key, err }, 'reconcile failed');
      return 'retry';
    }
  }

  async #sweep(): Promise<RunOutcome> {
    const withRows = await this.#context.repository.endpoints();
    const running = await this.#context.sink.running();
    for (const key of [...withRows.map(objectKey), ...running]) if (!this.#index.endpointKeys.has(key)) this.#addAll(key);
    return 'done';
  }

  async #runEndpoint(endpointKey: string, signal: AbortSignal): Promise<RunOutcome> {
    const request = { key: endpointKey, databaseProblem: this.#databaseProblems.get(endpointKey) };
    const { retry, applied, removed } = await reconcileEndpoint(this.#context, request, signal);
    if (applied !== undefined) {
      const hostKeys = applied.hostKeys.keys.map(({ algorithm, fingerprint }) => ({ algorithm, fingerprint }));
      this.#views.set(endpointKey, { key: endpointKey, settings: applied.settings, hostKeys });
    }
    if (removed) {
      this.#views.delete(endpointKey);
      this.#databaseProblems.delete(endpointKey);
    }
    for (const listener of this.#viewListeners) listener();
    return retry ? 'retry' : 'done';
  }

  async #runRows(stage: 'users' | 'routes', endpointKey: string): Promise<RunOutcome> {
    const result = await this.#rows[stage].reconcile(endpointKey);
    if (this.#databaseProblems.get(endpointKey) !== result.databaseProblem) {
      if (result.databaseProblem === undefined) this.#databaseProblems.delete(endpointKey);
      else this.#databaseProblems.set(endpointKey, result.databaseProblem);
      this.#queue.add(workKey('endpoint', endpointKey));
    }
    this.#revisit(workKey(stage, endpointKey), result.revisitAt);
    return result.retry ? 'retry' : 'done';
  }

  /** Expiry changes a status without any event. What lies beyond the next resync is seen by that. */
  #revisit(key: string, at: Date | null): void {
    clearTimeout(this.#revisits.get(key));
    this.#revisits.delete(key);
    const waitMs = at === null ? Number.POSITIVE_INFINITY : at.getTime() - this.#context.clock.now().getTime();
    if (waitMs > this.#resyncMs) return;
    const timer = setTimeout(() => {
      this.#revisits.delete(key);
      this.#queue.add(key);
    }, Math.max(waitMs, 0) + 1);
    this.#revisits.set(key, timer);
  }
}

function workKey(stage: WorkStage, endpointKey: string): string {
  return `${stage} ${endpointKey}`;
}

function parseWorkKey(key: string): { readonly stage: WorkStage; readonly endpointKey: string } {
  const [stage, endpointKey = ''] = key.split(' ');
  if (stage !== 'endpoint' && stage !== 'users' && stage !== 'routes') throw new RangeError(`not a work key: ${key}`);
  return { stage, endpointKey };
}
