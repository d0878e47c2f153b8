import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createMqttTarget } from '@skiff/messaging/mqtt-target';
import { createServiceBusPublisher } from '@skiff/messaging/service-bus';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { makeCertificates } from '../emulators/certificates.ts';
import { queuesOnly, startServiceBusProcess } from '../emulators/service-bus.ts';
import { uploadedInput } from './target-input.ts';

const never = new AbortController().signal;

test('small frames to Service Bus do not wait until the frame before is acknowledged', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-no-delay-'));
  const serviceBus = await startServiceBusProcess({
    dir,
    certificates: await makeCertificates(join(dir, 'certificates')),
    entities: queuesOnly(['events']),
    tokens: { issuerPrefix: 'https://', audiences: [], keys: { jwks: { keys: [] } }, objectIds: [] },
  });
  const credential = { connectionString: new Secret(serviceBus.connectionString) };
  const publisher = createServiceBusPublisher({ namespace: 'skiff.servicebus.windows.net', queue: 'events', credential, logger: silentLogger });
  t.after(async () => {
    await publisher.close();
    await serviceBus.stop();
    await rm(dir, { recursive: true });
  });
  const setNoDelay = t.mock.method(Socket.prototype, 'setNoDelay');
  await publisher.publish([{ messageId: 'e', contentType: 'a/b', subject: '', properties: {}, body: Buffer.from('{}') }], AbortSignal.timeout(20_000));
  assert.deepEqual(
    setNoDelay.mock.calls.map((call) => call.arguments),
    [[true]],
  );
});

test('nor do those to the brokers of targets', async (t) => {
  const server = createServer((socket) => socket.on('error', () => undefined).destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const setNoDelay = t.mock.method(Socket.prototype, 'setNoDelay');
  const target = createMqttTarget({ url: `mqtt://127.0.0.1:${address.port}`, topic: 't', timeoutMs: 5_000, addresses: { allow: ['127.0.0.0/8'] } });
  t.after(async () => {
    await target.close();
    server.close();
  });
  assert.equal((await target.deliver(uploadedInput('e'), never)).kind, 'retry');
  assert.deepEqual(
    setNoDelay.mock.calls.map((call) => call.arguments),
    [[true]],
  );
});
