import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { type HealthServer, type HealthServerProps, startHealthServer } from './health.ts';
import { silentLogger } from './logger.ts';
import { createMetrics } from './metrics.ts';

const running: HealthServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

async function start(props: Partial<HealthServerProps> = {}): Promise<string> {
  const server = await startHealthServer({
    port: 0,
    host: '127.0.0.1',
    ready: {},
    metrics: createMetrics({ defaults: false }),
    logger: silentLogger,
    ...props,
  });
  running.push(server);
  return `http://127.0.0.1:${server.port}`;
}

async function get(url: string, init?: RequestInit): Promise<readonly [number, string]> {
  const response = await fetch(url, init);
  return [response.status, await response.text()];
}

describe('health server', () => {
  it('is ready when every check passes, and names those that fail', async () => {
    let database: string | undefined = 'not connected yet';
    const url = await start({ ready: { database: () => database, listener: () => undefined } });
    assert.deepEqual(await get(`${url}/readyz`), [503, 'database: not connected yet\n']);
    database = undefined;
    assert.deepEqual(await get(`${url}/readyz`), [200, 'ok\n']);
  });

  it('is alive though it is not ready', async () => {
    const url = await start({ ready: { database: () => 'away' } });
    assert.deepEqual(await get(`${url}/healthz?verbose`), [200, 'ok\n']);
    const dead = await start({ live: { loop: () => 'stuck' } });
    assert.equal((await get(`${dead}/healthz`))[0], 503);
  });

  it('serves the metrics', async () => {
    const metrics = createMetrics({ defaults: false });
    metrics.gauge({ name: 'skiff_sessions', help: 'Sessions.' }).set({}, 3);
    const [status, text] = await get(`${await start({ metrics })}/metrics`);
    assert.equal(status, 200);
    assert.ok(text.includes('skiff_sessions 3'));
  });

  it('refuses other methods and paths', async () => {
    const url = await start();
    assert.equal((await get(`${url}/readyz`, { method: 'POST', body: 'x'.repeat(100_000) }))[0], 405);
    assert.equal((await get(`${url}/etc/passwd`))[0], 404);
    assert.deepEqual(await get(`${url}/healthz`, { method: 'HEAD' }), [200, '']);
  });

  it('answers 500-free though a check throws: the connection ends and the next request is served', async () => {
    let broken = true;
    const url = await start({
      ready: {
        bad() {
          if (broken) throw new Error('bug');
          return undefined;
        },
      },
    });
    await assert.rejects(get(`${url}/readyz`));
    broken = false;
    assert.deepEqual(await get(`${url}/readyz`), [200, 'ok\n']);
  });

  it('survives clients that speak no HTTP', async () => {
    const url = await start();
    await new Promise<void>((resolve) => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write('\x16\x03\x01 not http\r\n\r\n'));
      socket.on('error', () => {});
      socket.on('close', () => resolve());
    });
    assert.equal((await get(`${url}/healthz`))[0], 200);
  });

  it('rejects when its port is taken', async () => {
    const url = await start();
    await assert.rejects(start({ port: Number(new URL(url).port) }), { code: 'EADDRINUSE' });
  });

  it('stops although a connection is open', async () => {
    const url = await start();
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    await running.pop()?.stop();
    await assert.rejects(fetch(url));
  });
});
