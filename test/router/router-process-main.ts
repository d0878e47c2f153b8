// A router in a process of its own, to be killed. Its queue is the parent's: messages come and settlements go over the IPC channel.
import { openDatabase } from '@skiff/database/connect';
import { createDeliveryLog } from '@skiff/database/mysql-delivery-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { EventConsumer } from '@skiff/messaging/event-bus';
import type { InstanceId } from '@skiff/model/upload-state';
import { createRouteTable } from '@skiff/router/route-table';
import { createRouter } from '@skiff/router/router';
import { createTargetFactory } from '@skiff/router/target-factory';
import { systemClock } from '@skiff/runtime/clock';
import { parseFailpoints } from '@skiff/runtime/failpoint';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import type { ToRouter } from './router-process.ts';

const [databaseUrl = '', endpoint = '', failpoints = ''] = process.argv.slice(2);

const consumer: EventConsumer = {
  async start(handler) {
    process.on('message', ({ messageId, body, deliveryCount }: ToRouter) => {
      const message = { messageId, body: Buffer.from(body), contentType: undefined, enqueuedAt: undefined, deliveryCount };
      void handler(message, new AbortController().signal).then((settlement) => process.send?.({ messageId, settlement: settlement.kind }));
    });
    process.send?.({ ready: true });
  },
  stop: () => Promise.resolve(),
};
process.on('disconnect', () => process.exit(0));

const database = openDatabase({ url: new Secret(databaseUrl), logger: silentLogger, poolSize: 3 });
const endpointId = Number(endpoint);
await createRouter({
  consumer,
  deliveries: createDeliveryLog(database),
  routes: createRouteTable({ resources: createResourceRepository(database), endpointId, logger: silentLogger }),
  targets: createTargetFactory({ addresses: { allow: ['127.0.0.0/8'] }, userAgent: 'skiff/test', concurrency: 8 }),
  clock: systemClock,
  random: Math.random,
  logger: silentLogger,
  instance: `router-${process.pid}` as InstanceId,
  endpointId,
  failpoints: parseFailpoints(failpoints),
}).start();
