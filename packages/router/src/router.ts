import type { DeliveryHistory } from '@skiff/database/delivery-history';
import type { DeliveryLog } from '@skiff/database/delivery-log';
import type { EventConsumer } from '@skiff/messaging/event-bus';
import { objectKey } from '@skiff/model/object-meta';
import type { InstanceId } from '@skiff/model/upload-state';
import { matchRoutes } from '@skiff/policy/match-routes';
import type { Clock } from '@skiff/runtime/clock';
import type { Failpoints } from '@skiff/runtime/failpoint';
import type { Logger } from '@skiff/runtime/logger';
import { DeliveryLedger } from './delivery-ledger.ts';
import { createMessageHandler } from './message-handler.ts';
import type { RoutableMessage } from './message-parser.ts';
import { OutcomeRecorder } from './outcome-recorder.ts';
import { RecentSuccesses } from './recent-successes.ts';
import { RetryWorker } from './retry-worker.ts';
import { RouteCounters } from './route-counters.ts';
import type { RouteTable } from './route-table.ts';
import { noRouterMetrics, type RouterMetrics } from './router-metrics.ts';
import type { TargetFactory } from './target-factory.ts';
import type { TargetLane } from './target-lane.ts';
import { TargetLanes } from './target-lanes.ts';

export interface RouterProps {
  readonly consumer: EventConsumer;
  readonly deliveries: DeliveryLog;
  /** Takes the counters of routes. Default: nobody counts. */
  readonly history?: Pick<DeliveryHistory, 'addCounts'>;
  /** Started and stopped by the router. */
  readonly routes: RouteTable;
  readonly targets: TargetFactory;
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics?: RouterMetrics;
  readonly instance: InstanceId;
  readonly endpointId: number;
  readonly failpoints: Failpoints;
  readonly limits?: Partial<RouterLimits>;
  /** The queue keeps order per path, and so do deliveries to each target. Default: they do not. */
  readonly inOrder?: boolean;
}

export interface RouterLimits {
  /** Attempts at a time per target. */
  readonly targetConcurrency: number;
  /** Repeated attempts at a time, over all targets. */
  readonly retryConcurrency: number;
  /** How long a message waits for a target before that delivery is put aside. */
  readonly fastLaneMs: number;
  /** How long a message is held while the database does not take its failed deliveries; then it goes back to the queue. */
  readonly parkPatienceMs: number;
  /** How often to look for due deliveries. */
  readonly retryPollMs: number;
  /** How long outcomes are kept. */
  readonly retentionMs: number;
  /** How often the counters of routes are written. */
  readonly counterFlushMs: number;
}

export const DEFAULT_ROUTER_LIMITS: RouterLimits = {
  targetConcurrency: 32,
  retryConcurrency: 128,
  // A target that hangs holds up the others once, for this long: they promise 2 s at the 99th percentile.
  fastLaneMs: 1000,
  // Ten deliveries of one message, the usual limit of a queue, then outlast a database outage of five minutes.
  parkPatienceMs: 30_000,
  retryPollMs: 500,
  retentionMs: 14 * 86_400_000,
  counterFlushMs: 10_000,
};

export interface Router {
  /** Resolves when messages are being taken; that is not before the routes could be read. Rejects when stopped before. */
  start(): Promise<void>;
  /** Ends what is under way; when `signal` aborts, cuts it off and gives the messages back. */
  stop(signal: AbortSignal): Promise<void>;
}

const LAST_FLUSH_MS = 5000;

/** Takes events from the queue to the targets of the routes in force, and tries again what did not succeed (DESIGN §6). */
export function createRouter(props: RouterProps): Router {
  return new QueueRouter(props);
}

class QueueRouter implements Router {
  readonly #props: RouterProps;
  readonly #limits: RouterLimits;
  readonly #lanes: TargetLanes;
  readonly #recorder: OutcomeRecorder;
  readonly #counters: RouteCounters;
  readonly #ledger: DeliveryLedger;
  readonly #worker: RetryWorker;
  readonly #background = new Set<Promise<void>>();
  #consuming = false;
  #stopping = false;

  constructor(props: RouterProps) {
    const { clock, random, logger, metrics = noRouterMetrics, deliveries, endpointId, instance, routes, inOrder = false } = props;
    const limits = { ...DEFAULT_ROUTER_LIMITS, ...props.limits };
    const monotonicMs = (): number => clock.monotonicMs();
    this.#props = props;
    this.#limits = limits;
    this.#lanes = new TargetLanes({
      targets: props.targets,
      concurrency: limits.targetConcurrency,
      fastLaneMs: limits.fastLaneMs,
      monotonicMs,
      random,
      logger,
      metrics,
      onFailure: (route, target, reason) => this.#counters.failed(route, target, reason),
    });
    this.#counters = new RouteCounters({ endpointId, history: props.history, logger, monotonicMs, flushMs: limits.counterFlushMs });
    this.#recorder = new OutcomeRecorder({ deliveries, logger, metrics, onResult: (result) => this.#counters.count(result) });
    this.#ledger = new DeliveryLedger({ endpointId, recorder: this.#recorder, recent: new RecentSuccesses(), random, inOrder });
    this.#worker = new RetryWorker({
      endpointId,
      instance,
      deliveries,
      lanes: this.#lanes,
      ledger: this.#ledger,
      refreshRoutes: () => routes.refresh(),
      random,
      monotonicMs,
      logger,
      pollMs: limits.retryPollMs,
      concurrency: limits.retryConcurrency,
      retentionMs: limits.retentionMs,
      inOrder,
    });
    routes.onChange((rows) => {
      if (!this.#stopping) this.#lanes.sync(rows);
    });
  }

  async start(): Promise<void> {
    const { consumer, routes, endpointId, deliveries, failpoints, random, clock, logger, metrics = noRouterMetrics } = this.#props;
    await routes.start();
    if (this.#stopping) return;
    this.#worker.start();
    this.#consuming = true;
    await consumer.start(
      createMessageHandler({
        endpointId,
        lanesFor: (message) => this.#lanesFor(message),
        deliveries,
        ledger: this.#ledger,
        failpoints,
        random,
        monotonicMs: () => clock.monotonicMs(),
        logger,
        metrics,
        parkPatienceMs: this.#limits.parkPatienceMs,
        onBackground: (work) => this.#track(work),
      }),
    );
  }

  async stop(signal: AbortSignal): Promise<void> {
    this.#stopping = true;
    const cutOff = (): void => this.#lanes.abort();
    signal.addEventListener('abort', cutOff, { once: true });
    if (signal.aborted) cutOff();
    try {
      await Promise.all([this.#props.routes.stop(), this.#worker.stop(), this.#consuming ? this.#props.consumer.stop(signal) : undefined]);
      await Promise.all(this.#background);
      await this.#lanes.close();
      await this.#recorder.close(AbortSignal.timeout(LAST_FLUSH_MS));
      await this.#counters.close();
    } finally {
      signal.removeEventListener('abort', cutOff);
    }
  }

  #lanesFor({ event, json, body }: RoutableMessage): readonly TargetLane[] {
    const lanes: TargetLane[] = [];
    for (const { route, target } of matchRoutes(this.#props.routes.current(), { event, json, sizeBytes: body.length })) {
      const lane = this.#lanes.get(objectKey(route), target.name);
      if (lane !== undefined) lanes.push(lane);
    }
    return lanes;
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => this.#props.logger.error({ err: error }, 'an outcome was not written down'))
      .finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }
}
