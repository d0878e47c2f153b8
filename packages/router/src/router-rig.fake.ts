import type { DeliveryInput, DeliveryOutcome, DeliveryTarget } from '@skiff/messaging/delivery-target';
import type { OutgoingMessage } from '@skiff/messaging/event-bus';
import { createMemoryBus, type MemoryBus, type MemoryBusOptions } from '@skiff/messaging/memory-bus';
import type { RouteTarget } from '@skiff/model/event-route';
import { CLOUD_EVENTS_JSON, type FileEvent } from '@skiff/model/file-event';
import type { RouteRow } from '@skiff/model/resource-rows';
import { StoreError } from '@skiff/model/store-error';
import { toOperationId } from '@skiff/model/upload-state';
import { systemClock } from '@skiff/runtime/clock';
import { type Failpoints, noFailpoints } from '@skiff/runtime/failpoint';
import { silentLogger } from '@skiff/runtime/logger';
import { createMemoryDeliveryLog, type MemoryDeliveryLog } from './memory-delivery-log.fake.ts';
import { createRouteTable } from './route-table.ts';
import { createRouter, type Router, type RouterLimits } from './router.ts';
import type { RouterMetrics } from './router-metrics.ts';

export type Behaviour = (input: DeliveryInput, signal: AbortSignal) => Promise<DeliveryOutcome> | DeliveryOutcome;
export const delivered: DeliveryOutcome = { kind: 'delivered', detail: 'HTTP 200' };
export const failed: DeliveryOutcome = { kind: 'retry', reason: 'HTTP 500' };

/** A router over fakes. Targets behave as `behaviours` says by their name; each call is noted in `calls`. */
export interface RouterRig {
  readonly bus: MemoryBus;
  readonly log: MemoryDeliveryLog;
  readonly behaviours: Map<string, Behaviour>;
  readonly calls: { readonly target: string; readonly eventId: string; readonly attempt: number; readonly at: number }[];
  router: Router;
  setRoutes(rows: readonly RouteRow[]): void;
  routesDown(on: boolean): void;
  publish(...ids: readonly string[]): Promise<void>;
  publishRaw(message: Partial<OutgoingMessage> & { readonly body: Buffer }): Promise<void>;
  newRouter(): Router;
}

export interface RouterRigOptions {
  readonly limits?: Partial<RouterLimits>;
  readonly bus?: MemoryBusOptions;
  readonly consumers?: number;
  readonly failpoints?: Failpoints;
  readonly metrics?: RouterMetrics;
  readonly pollMs?: number;
  readonly inOrder?: boolean;
}

export function createRouterRig(routes: readonly RouteRow[], options: RouterRigOptions = {}): RouterRig {
  const bus = createMemoryBus(options.bus);
  const log = createMemoryDeliveryLog();
  const behaviours = new Map<string, Behaviour>();
  const calls: RouterRig['calls'] = [];
  let rows = routes;
  let revision = 1n;
  let routesAway = false;
  const routesSince = async (_endpointId: number, since: bigint) => {
    if (routesAway) throw new StoreError({ code: 'unavailable', message: 'the database is down' });
    return { revision, changed: since < revision ? rows : [], deleted: since < revision ? gone : [] };
  };
  let gone: string[] = [];
  const target = (spec: RouteTarget): DeliveryTarget => ({
    async deliver(input, signal) {
      calls.push({ target: spec.name, eventId: input.eventId, attempt: input.attempt, at: performance.now() });
      return (await behaviours.get(spec.name)?.(input, signal)) ?? delivered;
    },
    close: () => Promise.resolve(),
  });
  const newRouter = (): Router =>
    createRouter({
      consumer: bus.consumer({ concurrency: options.consumers ?? 32 }),
      deliveries: log,
      routes: createRouteTable({ resources: { routesSince }, endpointId: 1, logger: silentLogger, pollMs: options.pollMs ?? 20 }),
      targets: target,
      clock: systemClock,
      random: Math.random,
      logger: silentLogger,
      instance: INSTANCE,
      endpointId: 1,
      failpoints: options.failpoints ?? noFailpoints,
      limits: { fastLaneMs: 100, retryPollMs: 20, parkPatienceMs: 50, ...options.limits },
      inOrder: options.inOrder ?? false,
      ...(options.metrics === undefined ? {} : { metrics: options.metrics }),
    });
  const publishRaw: RouterRig['publishRaw'] = (message) =>
    bus.publisher.publish([{ messageId: `m${Math.random()}`, contentType: 'application/json', subject: '', properties: {}, ...message }], neverAborts);
  return {
    bus,
    log,
    behaviours,
    calls,
    router: newRouter(),
    newRouter,
    setRoutes(next) {
      gone = rows.map((row) => `${row.namespace}/${row.name}`).filter((key) => !next.some((row) => `${row.namespace}/${row.name}` === key));
      rows = next;
      revision += 1n;
    },
    routesDown(on) {
      routesAway = on;
    },
    publishRaw,
    async publish(...ids) {
      for (const id of ids) await publishRaw({ messageId: id, contentType: CLOUD_EVENTS_JSON, body: Buffer.from(JSON.stringify(fileEvent(id))) });
    },
  };
}

const INSTANCE = toOperationId(Buffer.alloc(16, 1)) as unknown as Parameters<MemoryDeliveryLog['claimDue']>[0]['owner'];
const neverAborts = new AbortController().signal;

export function fileEvent(id: string, data: Partial<FileEvent['data']> = {}): FileEvent {
  return {
    specversion: '1.0',
    id,
    source: '/skiff/team/main',
    type: 'dev.skiff.file.uploaded',
    subject: 'in/x',
    time: '2026-01-01T00:00:00Z',
    datacontenttype: 'application/json',
    data: {
      operationId: id,
      endpoint: { namespace: 'team', name: 'main' },
      username: 'anna',
      path: '/in/x.csv',
      blob: { container: 'c', name: 'in/x.csv', url: 'https://blob.example/c/in/x.csv' },
      ...data,
    },
  };
}

export function routeRow(name: string, targets: RouteRow['targets'], match: RouteRow['match'] = null): RouteRow {
  return { namespace: 'team', name, uid: name, match, targets };
}

export function httpTarget(name: string, delivery: RouteTarget['delivery'] = {}): RouteTarget {
  return { name, http: { url: 'http://target.example/' }, delivery };
}

/** Polls until the condition holds. @throws {Error} when it does not in time. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>, withinMs = 5000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
