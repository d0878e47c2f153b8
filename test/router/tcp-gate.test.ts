import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { breakOff } from './tcp-gate.ts';

for (const ended of [false, true]) {
  test(`a connection ${ended ? 'that is just being ended' : 'in use'} is broken off, and nothing of it remains`, async () => {
    const errors: Error[] = [];
    const server = createServer((socket) => socket.on('error', () => undefined));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const socket = connect(address.port, '127.0.0.1');
    socket.on('error', (error) => errors.push(error));
    await Promise.all([once(socket, 'connect'), once(server, 'connection')]);
    if (ended) socket.end();
    breakOff(socket);
    const closed = once(server, 'close', { signal: AbortSignal.timeout(10_000) });
    server.close();
    await closed;
    assert.deepEqual(errors, []);
  });
}
