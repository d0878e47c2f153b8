import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { createServiceBusTarget } from '@skiff/messaging/service-bus-target';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { makeCertificates } from '../emulators/certificates.ts';
import { type ServiceBusProcess, startServiceBusProcess } from '../emulators/service-bus.ts';
import { uploadedInput } from './target-input.ts';

const never = new AbortController().signal;
const properties = { RequiresDuplicateDetection: true, DuplicateDetectionHistoryTimeWindow: 'PT5M' };
let dir: string;
let serviceBus: ServiceBusProcess;
let client: ServiceBusClient;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-bus-target-'));
  serviceBus = await startServiceBusProcess({
    dir,
    certificates: await makeCertificates(join(dir, 'certificates')),
    entities: {
      UserConfig: {
        Namespaces: [
          {
            Name: 'skiff',
            Queues: [{ Name: 'orders', Properties: properties }],
            Topics: [{ Name: 'news', Properties: properties, Subscriptions: [{ Name: 'app' }] }],
          },
        ],
      },
    },
    tokens: { issuerPrefix: 'https://', audiences: [], keys: { jwks: { keys: [] } }, objectIds: [] },
  });
  client = new ServiceBusClient(serviceBus.connectionString);
});
after(async () => {
  await client?.close();
  await serviceBus?.stop();
  await rm(dir, { recursive: true });
});

function target(entity: string, place: string) {
  const credential = { connectionString: new Secret(serviceBus.connectionString) };
  return createServiceBusTarget({ namespace: 'skiff.servicebus.windows.net', entity, place, timeoutMs: 10_000, credential, logger: silentLogger });
}

it('sends to a queue and to a topic, under an id that duplicate detection knows again', async (t) => {
  const queue = target('orders', 'team/r|a');
  const second = target('orders', 'team/r|b');
  const topic = target('news', 'team/r|c');
  t.after(() => Promise.all([queue.close(), second.close(), topic.close()]));
  const input = uploadedInput('skf-1');
  for (const made of [queue, queue, second, topic])
    assert.deepEqual(await made.deliver(input, never), { kind: 'delivered', detail: 'accepted by Service Bus' });
  const messages = await client.createReceiver('orders').receiveMessages(5, { maxWaitTimeInMs: 1500 });
  assert.deepEqual(
    messages.map(({ messageId }) => messageId),
    ['skf-1|team/r|a', 'skf-1|team/r|b'],
  );
  const [message] = messages;
  assert.equal(message?.contentType, 'application/cloudevents+json');
  assert.equal(message?.applicationProperties?.cloudEvents_type, 'dev.skiff.file.uploaded');
  const body: unknown = message?.body;
  assert.deepEqual(Buffer.isBuffer(body) ? JSON.parse(body.toString()) : body, input.event);
  const fromTopic = await client.createReceiver('news', 'app').receiveMessages(1, { maxWaitTimeInMs: 3000 });
  assert.equal(fromTopic[0]?.messageId, 'skf-1|team/r|c');
});

it('keeps ids within the limit of Service Bus, still apart by target', async (t) => {
  const made = target('orders', `team/${'r'.repeat(200)}|a`);
  t.after(() => made.close());
  assert.equal((await made.deliver(uploadedInput('skf-2'), never)).kind, 'delivered');
  const messages = await client.createReceiver('orders').receiveMessages(5, { maxWaitTimeInMs: 1500 });
  assert.ok(messages.some(({ messageId }) => /^[0-9a-f]{64}$/.test(String(messageId))));
});
