import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { it, type TestContext } from 'node:test';
import { createAmqpTarget } from '@skiff/messaging/amqp-target';
import { createMqttTarget } from '@skiff/messaging/mqtt-target';
import { silentLogger } from '@skiff/runtime/logger';
import { uploadedInput } from './target-input.ts';

const never = new AbortController().signal;
const PIECE = Buffer.alloc(1 << 20);
/** What a hostile broker gets rid of before the router hangs up; buffers of the kernel are a part of it. */
const MAX_TAKEN_BYTES = 32 << 20;

/** A server that begins with `start` and then sends zeros for as long as anybody takes them. */
async function startFlood(t: TestContext, start: Buffer): Promise<{ readonly port: number; readonly taken: () => number }> {
  let taken = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    const pour = (): void => {
      if (socket.destroyed) return;
      socket.write(PIECE, (error) => {
        if (error !== undefined && error !== null) return;
        taken += PIECE.length;
        pour();
      });
    };
    socket.write(start, pour);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, taken: () => taken };
}

const common = { timeoutMs: 8000, addresses: { allow: ['127.0.0.0/8'] } };
const brokers = [
  {
    name: 'AMQP',
    // The protocol header, then a frame of 2 GiB.
    start: Buffer.from('414d515000010000' + '7fffffff02000000', 'hex'),
    target: (port: number) => createAmqpTarget({ ...common, url: `amqp://127.0.0.1:${port}`, address: 'a', logger: silentLogger }),
  },
  {
    name: 'MQTT',
    // A PUBLISH of 256 MiB.
    start: Buffer.from('30ffffff7f', 'hex'),
    target: (port: number) => createMqttTarget({ ...common, url: `mqtt://127.0.0.1:${port}`, topic: 't' }),
  },
];

for (const { name, start, target } of brokers) {
  it(`hangs up on an ${name} broker that announces a frame larger than memory, and may try again`, async (t) => {
    const flood = await startFlood(t, start);
    const made = target(flood.port);
    t.after(() => made.close());
    const begun = performance.now();
    const outcome = await made.deliver(uploadedInput('e'), never);
    assert.ok(outcome.kind === 'retry' && /too large/.test(outcome.reason), JSON.stringify(outcome));
    assert.ok(performance.now() - begun < 6000, 'long before the attempt has run out of time');
    assert.ok(flood.taken() < MAX_TAKEN_BYTES, `${flood.taken()} bytes`);
  });
}
