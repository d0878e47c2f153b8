import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { after, afterEach, describe, it } from 'node:test';
import type { DeliveryTarget } from '../delivery-target.ts';
import { createHttpTarget, HttpTargetError, type HttpTargetOptions } from './http-target.ts';

const input = { eventId: 'e1', event: undefined, body: Buffer.from('{"hello":1}'), contentType: 'application/json', attempt: 1 };
const never = new AbortController().signal;

describe('HTTP target', () => {
  const servers: Server[] = [];
  const targets: DeliveryTarget[] = [];
  const serve = async (listener: RequestListener): Promise<string> => {
    const server = createServer(listener);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?x=1`;
  };
  const target = (url: string, more: Partial<HttpTargetOptions> = {}): DeliveryTarget => {
    const made = createHttpTarget({
      url,
      format: 'Structured',
      headers: [],
      timeoutMs: 2000,
      userAgent: 'skiff/test',
      addresses: { allow: ['127.0.0.0/8', '::1'] },
      ...more,
    });
    targets.push(made);
    return made;
  };
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
    await Promise.all(targets.splice(0).map((made) => made.close()));
  });

  it('posts the body with its headers to path and query', async () => {
    let seen: unknown;
    const url = await serve((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { 'user-agent': agent, 'x-team': team, 'content-type': type } = request.headers;
        seen = { method: request.method, url: request.url, agent, team, type, body: Buffer.concat(chunks).toString() };
        response.writeHead(204).end();
      });
    });
    const outcome = await target(url, { headers: [{ name: 'X-Team', value: 'blue' }] }).deliver(input, never);
    assert.deepEqual(outcome, { kind: 'delivered', detail: 'HTTP 204' });
    assert.deepEqual(seen, { method: 'POST', url: '/hook?x=1', agent: 'skiff/test', team: 'blue', type: 'application/json', body: '{"hello":1}' });
  });

  for (const [status, kind] of [
    [200, 'delivered'],
    [302, 'rejected'],
    [400, 'rejected'],
    [404, 'rejected'],
    [410, 'rejected'],
    [408, 'retry'],
    [425, 'retry'],
    [429, 'retry'],
    [500, 'retry'],
    [503, 'retry'],
  ] as const) {
    it(`takes HTTP ${status} as ${kind} and follows no redirect`, async () => {
      let calls = 0;
      const url = await serve((_, response) => {
        calls += 1;
        response.writeHead(status, { location: '/elsewhere', 'retry-after': '3' }).end('x');
      });
      const outcome = await target(url).deliver(input, never);
      assert.equal(outcome.kind, kind);
      assert.equal(calls, 1);
      if (outcome.kind === 'retry') assert.equal(outcome.retryAfterMs, 3000);
    });
  }

  it('gives up on an answer that does not come in time', async () => {
    const url = await serve(() => {});
    const started = performance.now();
    const outcome = await target(url, { timeoutMs: 150 }).deliver(input, never);
    assert.deepEqual(outcome, { kind: 'retry', reason: 'no answer within 150 ms' });
    assert.ok(performance.now() - started < 1500);
  });

  it('gives up on an answer whose body never ends', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200).write('x');
    });
    assert.equal((await target(url, { timeoutMs: 150 }).deliver(input, never)).kind, 'retry');
  });

  it('reads no more than 64 KiB of an answer', async () => {
    let sent = 0;
    const url = await serve((_, response) => {
      const pump = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) sent += 65_536;
        if (!response.destroyed) response.once('drain', pump);
      };
      pump();
    });
    const outcome = await target(url).deliver(input, never);
    assert.equal(outcome.kind, 'delivered');
    assert.ok(sent < 32 * 1024 * 1024, String(sent));
  });

  it('tries again later when nobody listens or the connection breaks', async () => {
    const broken = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.destroy();
    });
    await new Promise<void>((resolve) => broken.listen(0, '127.0.0.1', resolve));
    const { port } = broken.address() as AddressInfo;
    assert.equal((await target(`http://127.0.0.1:${port}/`).deliver(input, never)).kind, 'retry');
    await new Promise((resolve) => broken.close(resolve));
    const outcome = await target(`http://127.0.0.1:${port}/`).deliver(input, never);
    assert.ok(outcome.kind === 'retry' && outcome.reason.startsWith('ECONNREFUSED'), JSON.stringify(outcome));
  });

  it('ends at once when it is aborted', async () => {
    const url = await serve(() => {});
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 50);
    assert.deepEqual(await target(url).deliver(input, abort.signal), { kind: 'retry', reason: 'aborted' });
    assert.deepEqual(await target(url).deliver(input, abort.signal), { kind: 'retry', reason: 'aborted' });
  });

  it('opens no more connections than it may, and uses them again', async () => {
    let connections = 0;
    const url = await serve((_, response) => void setTimeout(() => response.end('ok'), 5));
    servers[0]?.on('connection', () => {
      connections += 1;
    });
    const made = target(url, { maxConnections: 3 });
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => made.deliver(input, never)));
    assert.ok(outcomes.every(({ kind }) => kind === 'delivered'));
    assert.ok(connections <= 3, String(connections));
  });

  describe('address guard', () => {
    let reached = 0;
    const listener: RequestListener = (_, response) => {
      reached += 1;
      response.end();
    };
    after(() => assert.equal(reached, 0));
    const strict = { addresses: { allow: [] } };

    it('rejects refused literals for good, in every form', async () => {
      const { port } = new URL(await serve(listener));
      for (const host of ['127.0.0.1', '2130706433', '0x7f.1', '0177.0.0.1', '127.1', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[64:ff9b::7f00:1]']) {
        const outcome = await target(`http://${host}:${port}/`, strict).deliver(input, never);
        assert.ok(outcome.kind === 'rejected' && outcome.reason.includes('refused'), `${host}: ${JSON.stringify(outcome)}`);
      }
      const metadata = await target('http://169.254.169.254/metadata', { addresses: { allow: ['0.0.0.0/0'] } }).deliver(input, never);
      assert.ok(metadata.kind === 'rejected' && metadata.reason.includes('metadata'), JSON.stringify(metadata));
    });

    it('refuses names that resolve to refused addresses, and may try again', async () => {
      const { port } = new URL(await serve(listener));
      const outcome = await target(`http://localhost:${port}/`, strict).deliver(input, never);
      assert.ok(outcome.kind === 'retry' && outcome.reason.includes('loopback'), JSON.stringify(outcome));
    });
  });

  it('refuses URLs with credentials and headers that belong to the protocol', () => {
    assert.throws(() => target('http://user:pass@example.com/'), HttpTargetError);
    assert.throws(() => target('ftp://example.com/'), HttpTargetError);
    for (const name of ['Host', 'content-length', 'CE-Id', 'Transfer-Encoding', 'bad name']) {
      assert.throws(() => target('http://example.com/', { headers: [{ name, value: 'x' }] }), HttpTargetError, name);
    }
    assert.throws(() => target('http://example.com/', { headers: [{ name: 'x', value: 'a\r\nb' }] }), HttpTargetError);
  });
});
