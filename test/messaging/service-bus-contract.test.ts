import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { describeEventBus } from '@skiff/messaging/event-bus.contract';
import { createServiceBusConsumer, createServiceBusPublisher } from '@skiff/messaging/service-bus';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { makeCertificates } from '../emulators/certificates.ts';
import { queuesOnly, type ServiceBusProcess, startServiceBusProcess } from '../emulators/service-bus.ts';

const QUEUES = Array.from({ length: 20 }, (_, i) => `contract-${i}`);

let dir: string;
let serviceBus: ServiceBusProcess;
let next = 0;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-bus-'));
  serviceBus = await startServiceBusProcess({
    dir,
    certificates: await makeCertificates(join(dir, 'certificates')),
    entities: queuesOnly(QUEUES),
    tokens: { issuerPrefix: 'https://', audiences: [], keys: { jwks: { keys: [] } }, objectIds: [] },
  });
});
after(async () => {
  await serviceBus.stop();
  await rm(dir, { recursive: true });
});

describeEventBus('service bus', async () => {
  const queue = QUEUES[next++] ?? '';
  const credential = { connectionString: new Secret(serviceBus.connectionString) };
  const options = { namespace: 'skiff.servicebus.windows.net', queue, credential, logger: silentLogger };
  const client = new ServiceBusClient(serviceBus.connectionString);
  const deadLetters = client.createReceiver(queue, { subQueueType: 'deadLetter' });
  const publisher = createServiceBusPublisher(options);
  return {
    publisher,
    consumer: (concurrency) => createServiceBusConsumer({ ...options, concurrency }),
    deadLetters: async () =>
      (await deadLetters.peekMessages(10)).map((message) => ({
        messageId: message.messageId === undefined ? undefined : String(message.messageId),
        reason: message.deadLetterReason,
      })),
    close: async () => {
      await publisher.close();
      await client.close();
    },
  };
});
