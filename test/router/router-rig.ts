import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { openDatabase } from '@skiff/database/connect';
import type { DeliveryHistory } from '@skiff/database/delivery-history';
import type { DeliveryLog } from '@skiff/database/delivery-log';
import { createDeliveryHistory } from '@skiff/database/mysql-delivery-history';
import { createDeliveryLog } from '@skiff/database/mysql-delivery-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { ResourceRepository, RouteRow } from '@skiff/database/resource-rows';
import { openTestDatabase } from '@skiff/database/testing';
import { createMemoryBus, type MemoryBus } from '@skiff/messaging/memory-bus';
import type { RouteTarget } from '@skiff/model/event-route';
import { CLOUD_EVENTS_JSON } from '@skiff/model/file-event';
import type { InstanceId } from '@skiff/model/upload-state';
import { createRouteTable } from '@skiff/router/route-table';
import { createRouter, type RouterLimits } from '@skiff/router/router';
import { createTargetFactory } from '@skiff/router/target-factory';
import { systemClock } from '@skiff/runtime/clock';
import { noFailpoints } from '@skiff/runtime/failpoint';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { uploadedInput } from '../messaging/target-input.ts';
import { type Application, startApplication } from './application.ts';
import { startTcpGate, type TcpGate } from './tcp-gate.ts';

/** A router as it runs, with an in-memory queue, a real database behind a gate and an application that listens on HTTP. */
export interface RouterRig {
  readonly bus: MemoryBus;
  readonly application: Application;
  readonly database: TcpGate;
  readonly deliveries: DeliveryLog;
  readonly history: DeliveryHistory;
  readonly endpointId: number;
  /** For commands: past the gate. */
  readonly databaseUrl: string;
  setRoutes(rows: readonly RouteRow[]): Promise<void>;
  publish(...ids: readonly string[]): Promise<void>;
  publishRaw(messageId: string, body: Buffer): Promise<void>;
  /** State and detail of a delivery's row. */
  row(eventId: string, target: string): Promise<{ readonly state: string; readonly attempt: number; readonly detail: string } | undefined>;
}

export async function startRouterRig(
  t: TestContext,
  routes: (application: Application) => readonly RouteRow[],
  options: { readonly consumers?: number; readonly limits?: Partial<RouterLimits>; readonly maxDeliveryCount?: number } = {},
): Promise<RouterRig> {
  const test = await openTestDatabase();
  t.after(() => test.close());
  const address = new URL(test.tcpUrl.reveal());
  const gate = await startTcpGate({ host: address.hostname, port: Number(address.port) });
  t.after(() => gate.close());
  address.host = `127.0.0.1:${gate.port}`;
  const database = openDatabase({ url: new Secret(address.href), logger: silentLogger, poolSize: 5 });
  t.after(() => database.close());
  const application = await startApplication();
  t.after(() => application.close());

  // The test's own view goes round the gate.
  const resources: ResourceRepository = createResourceRepository(test.database);
  const endpointId = await resources.endpointId('team', 'main');
  const setRoutes = (rows: readonly RouteRow[]) =>
    resources.applyRoutes(
      endpointId,
      rows.map((row) => ({ kind: 'put', row })),
    );
  await setRoutes(routes(application));

  const bus = createMemoryBus({ maxDeliveryCount: options.maxDeliveryCount ?? 10 });
  const router = createRouter({
    consumer: bus.consumer({ concurrency: options.consumers ?? 32 }),
    deliveries: createDeliveryLog(database),
    history: createDeliveryHistory(database),
    routes: createRouteTable({ resources: createResourceRepository(database), endpointId, logger: silentLogger }),
    targets: createTargetFactory({ addresses: { allow: ['127.0.0.0/8'] }, userAgent: 'skiff/test', concurrency: 32 }),
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    instance: `router-${randomBytes(4).toString('hex')}` as InstanceId,
    endpointId,
    failpoints: noFailpoints,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  t.after(() => router.stop(AbortSignal.timeout(500)));
  await router.start();

  const publishRaw = (messageId: string, body: Buffer) =>
    bus.publisher.publish([{ messageId, contentType: CLOUD_EVENTS_JSON, subject: '', properties: {}, body }], AbortSignal.timeout(5000));
  return {
    bus,
    application,
    database: gate,
    deliveries: createDeliveryLog(test.database),
    history: createDeliveryHistory(test.database),
    endpointId,
    databaseUrl: test.url.reveal(),
    setRoutes,
    publishRaw,
    async publish(...ids) {
      for (const id of ids) await publishRaw(id, Buffer.from(JSON.stringify(uploadedInput(id).event)));
    },
    row: (eventId, target) =>
      test.database.queries
        .selectFrom('deliveries')
        .select(['state', 'attempt', 'detail'])
        .where('endpoint_id', '=', endpointId)
        .where('event_id', '=', eventId)
        .where('target', '=', target)
        .executeTakeFirst(),
  };
}

export function route(name: string, targets: RouteRow['targets'], match: RouteRow['match'] = null): RouteRow {
  return { namespace: 'team', name, uid: name, match, targets };
}

/** A target at the application's path of the same name. */
export function target(application: Application, name: string, delivery: NonNullable<RouteTarget['delivery']> = {}): RouteTarget {
  return { name, http: { url: `${application.url}/${name}` }, delivery };
}
