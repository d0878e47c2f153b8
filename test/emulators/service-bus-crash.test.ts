import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { makeCertificates } from './certificates.ts';
import { queuesOnly, type ServiceBusProcess, startServiceBusProcess } from './service-bus.ts';

describe('service bus emulator after a crash', () => {
  let dir: string;
  let serviceBus: ServiceBusProcess;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'skiff-bus-'));
    serviceBus = await startServiceBusProcess({
      dir,
      certificates: await makeCertificates(join(dir, 'certificates')),
      entities: queuesOnly(['durable']),
      tokens: { issuerPrefix: 'https://', audiences: [], keys: { jwks: { keys: [] } }, objectIds: [] },
    });
  });
  after(async () => {
    await serviceBus.stop();
    await rm(dir, { recursive: true });
  });

  test('has every confirmed message, its duplicate ids and its dead letters', async () => {
    const before = new ServiceBusClient(serviceBus.connectionString, { retryOptions: { maxRetries: 0, timeoutInMs: 5_000 } });
    await before.createSender('durable').sendMessages([1, 2, 3].map((i) => ({ body: i, messageId: `d${i}` })));
    const receiver = before.createReceiver('durable');
    const [first, second] = await receiver.receiveMessages(2, { maxWaitTimeInMs: 2_000 });
    assert.ok(first !== undefined && second !== undefined);
    await receiver.completeMessage(first);
    await receiver.deadLetterMessage(second, { deadLetterReason: 'kept', deadLetterErrorDescription: 'over a crash' });
    await before.close();
    await serviceBus.kill();
    await serviceBus.restart();

    const later = new ServiceBusClient(serviceBus.connectionString, { retryOptions: { maxRetries: 0, timeoutInMs: 5_000 } });
    await later.createSender('durable').sendMessages([
      { body: 'again', messageId: 'd1' },
      { body: 4, messageId: 'd4' },
    ]);
    const rest = await later.createReceiver('durable', { receiveMode: 'receiveAndDelete' }).receiveMessages(5, { maxWaitTimeInMs: 500 });
    assert.deepEqual(
      rest.map(({ body }) => body),
      [3, 4],
    );
    const deadLetters = later.createReceiver('durable', { subQueueType: 'deadLetter', receiveMode: 'receiveAndDelete' });
    const [dead] = await deadLetters.receiveMessages(1, { maxWaitTimeInMs: 2_000 });
    assert.deepEqual([dead?.body, dead?.deadLetterReason], [2, 'kept']);
    await later.close();
  });
});
