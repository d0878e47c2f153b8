import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { basicAuthorization, bearerAuthorization, workloadIdentityAuthorization } from '@skiff/messaging/authorization';
import type { DeliveryTarget, OpenEventFile } from '@skiff/messaging/delivery-target';
import { createHttpTarget, HttpTargetError, type HttpTargetOptions } from '@skiff/messaging/http-target';
import { createOAuth2Authorization } from '@skiff/messaging/oauth2-authorization';
import { createWebhookSigner } from '@skiff/messaging/webhook-signature';
import { StoreError } from '@skiff/model/store-error';
import { Secret } from '@skiff/runtime/secret';
import { Webhook } from 'standardwebhooks';
import { type Certificates, makeCertificates } from '../emulators/certificates.ts';
import { makeClientCertificate } from './client-certificate.ts';
import { uploadedInput } from './target-input.ts';

const never = new AbortController().signal;
const addresses = { allow: ['127.0.0.0/8', '::1'] };

interface Request {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly peer: string | undefined;
}

describe('HTTP target, complete', () => {
  const closers: (() => Promise<void>)[] = [];
  let dir: string;
  let certificates: Certificates;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'skiff-http-'));
    certificates = await makeCertificates(dir);
  });
  after(() => rm(dir, { recursive: true }));
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  /** An application. `answer` gives the status, or 200. */
  async function serve(answer: (request: Request) => number | object | undefined = () => 200, mutualTls = false) {
    const requests: Request[] = [];
    const listener: RequestListener = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('error', () => undefined);
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const peer = mutualTls ? (request.socket as TLSSocket).getPeerCertificate().subject?.CN : undefined;
        const seen = { url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks), peer: Array.isArray(peer) ? peer[0] : peer };
        requests.push(seen);
        const said = answer(seen);
        if (typeof said === 'object') response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said));
        else response.writeHead(said ?? 200).end();
      });
    };
    const { ca, cert, key } = certificates;
    const server: Server = mutualTls ? createTlsServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true }, listener) : createServer(listener);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return { url: `${mutualTls ? 'https' : 'http'}://127.0.0.1:${address.port}`, requests };
  }

  function target(url: string, more: Partial<HttpTargetOptions> = {}): DeliveryTarget {
    const made = createHttpTarget({ url, format: 'Structured', headers: [], timeoutMs: 3000, userAgent: 'skiff/test', addresses, ...more });
    closers.push(() => made.close());
    return made;
  }

  describe('Standard Webhooks', () => {
    const key = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    const previous = Buffer.alloc(24, 8).toString('base64');

    it('signs so that the reference library verifies, in both formats, by either key, and for foreign bodies', async () => {
      const { url, requests } = await serve();
      const signer = createWebhookSigner([new Secret(key), new Secret(`${previous}\n`)]);
      for (const format of ['Structured', 'Binary'] as const) await target(url, { format, signer }).deliver(uploadedInput('skf-1'), never);
      await target(url, { signer }).deliver(
        { eventId: 'm1', event: undefined, body: Buffer.from('{"ü":1}'), contentType: 'application/json', attempt: 1 },
        never,
      );
      assert.equal(requests.length, 3);
      for (const { headers, body } of requests) {
        const plain = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
        assert.deepEqual(new Webhook(key).verify(body.toString(), plain), JSON.parse(body.toString()));
        new Webhook(previous).verify(body.toString(), plain);
        assert.throws(() => new Webhook(key).verify(`${body.toString()} `, plain));
        assert.throws(() => new Webhook(Buffer.alloc(32, 9).toString('base64')).verify(body.toString(), plain));
      }
      assert.deepEqual(
        requests.map(({ headers }) => headers['webhook-id']),
        ['skf-1', 'skf-1', 'm1'],
      );
    });

    it('refuses keys that are none, without showing them', () => {
      for (const text of ['', 'whsec_', 'c2hvcnQ=', 'not base64 at all, but long enough to be', Buffer.alloc(65).toString('base64')]) {
        assert.throws(
          () => createWebhookSigner([new Secret(text)]),
          (error: unknown) => error instanceof HttpTargetError && (text.length < 10 || !error.message.includes(text)),
        );
      }
    });
  });

  it('logs in by a bearer token, by user name and password, and by its own identity', async () => {
    const { url, requests } = await serve();
    const scopes: string[] = [];
    const identity = {
      getToken: async (scope: string) => {
        scopes.push(scope);
        return { token: 'entra' };
      },
    };
    for (const authorization of [
      bearerAuthorization(new Secret('t0ken\n')),
      basicAuthorization('änna', new Secret('pä:ss\n')),
      workloadIdentityAuthorization(identity, 'api://app/.default'),
    ]) {
      assert.equal((await target(url, { authorization }).deliver(uploadedInput('e'), never)).kind, 'delivered');
    }
    assert.deepEqual(
      requests.map(({ headers }) => headers.authorization),
      ['Bearer t0ken', `Basic ${Buffer.from('änna:pä:ss').toString('base64')}`, 'Bearer entra'],
    );
    assert.deepEqual(scopes, ['api://app/.default']);
    assert.throws(() => bearerAuthorization(new Secret('a\r\nb')), HttpTargetError);
  });

  describe('OAuth 2.0 client credentials', () => {
    it('fetches one token for many deliveries, and another when it ends', async () => {
      let issued = 0;
      const tokens = await serve(() => ({ access_token: `t${++issued}`, token_type: 'Bearer', expires_in: 100 }));
      const application = await serve();
      let now = 0;
      const authorization = createOAuth2Authorization({
        tokenUrl: `${tokens.url}/token?x=1`,
        clientId: 'my client',
        clientSecret: new Secret('s&cret'),
        scope: 'a b',
        addresses,
        monotonicMs: () => now,
      });
      const made = target(application.url, { authorization });
      await Promise.all(Array.from({ length: 20 }, (_, index) => made.deliver(uploadedInput(`e${index}`), never)));
      assert.equal(issued, 1);
      const [asked] = tokens.requests;
      assert.equal(asked?.url, '/token?x=1');
      assert.equal(asked?.body.toString(), 'grant_type=client_credentials&scope=a+b');
      assert.equal(asked?.headers.authorization, `Basic ${Buffer.from('my+client:s%26cret').toString('base64')}`);
      now = 91_000;
      await made.deliver(uploadedInput('late'), never);
      assert.equal(issued, 2);
      assert.deepEqual([...new Set(application.requests.map(({ headers }) => headers.authorization))], ['Bearer t1', 'Bearer t2']);
    });

    it('comes back with a new token when the application refuses the old one', async () => {
      let issued = 0;
      const tokens = await serve(() => ({ access_token: `t${++issued}` }));
      const application = await serve(({ headers }) => (headers.authorization === 'Bearer t2' ? 200 : 401));
      const authorization = createOAuth2Authorization({ tokenUrl: tokens.url, clientId: 'c', clientSecret: new Secret('s'), addresses });
      const made = target(application.url, { authorization });
      assert.equal((await made.deliver(uploadedInput('e'), never)).kind, 'retry');
      assert.equal((await made.deliver(uploadedInput('e'), never)).kind, 'delivered');
    });

    it('may try again later when no token is given, says why, and does not hammer', async () => {
      const tokens = await serve(() => 400);
      const application = await serve();
      const authorization = createOAuth2Authorization({ tokenUrl: tokens.url, clientId: 'c', clientSecret: new Secret('s3cr3t'), addresses });
      const made = target(application.url, { authorization });
      for (let index = 0; index < 5; index++) {
        const outcome = await made.deliver(uploadedInput('e'), never);
        assert.deepEqual(outcome, { kind: 'retry', reason: 'no access token: HTTP 400' });
      }
      assert.equal(tokens.requests.length, 1);
      assert.equal(application.requests.length, 0);
    });

    it('asks no token endpoint at a refused address', async () => {
      const tokens = await serve(() => ({ access_token: 't' }));
      const application = await serve();
      const authorization = createOAuth2Authorization({ tokenUrl: tokens.url, clientId: 'c', clientSecret: new Secret('s'), addresses: { allow: [] } });
      const outcome = await target(application.url, { authorization }).deliver(uploadedInput('e'), never);
      assert.ok(outcome.kind === 'retry' && outcome.reason.includes('refused'), JSON.stringify(outcome));
      assert.equal(tokens.requests.length, 0);
    });
  });

  it('shows its certificate, and trusts only the authority it was given', async () => {
    const { url, requests } = await serve(() => 200, true);
    const { ca } = certificates;
    const { cert, key } = await makeClientCertificate(dir, 'router');
    assert.equal((await target(url, { tls: { ca, cert, key } }).deliver(uploadedInput('e'), never)).kind, 'delivered');
    assert.equal(requests[0]?.peer, 'router');
    assert.equal((await target(url, { tls: { ca } }).deliver(uploadedInput('e'), never)).kind, 'retry');
    assert.equal((await target(url, { tls: { cert, key } }).deliver(uploadedInput('e'), never)).kind, 'retry');
    assert.equal(requests.length, 1);
  });

  describe('fields of the event', () => {
    it('go into path, query and headers, each made safe', async () => {
      const { url, requests } = await serve();
      const made = target(`${url}/users/{data.username}/files{+data.path}?id={id}`, { headers: [{ name: 'x-path', value: 'p={data.path}' }] });
      await made.deliver(uploadedInput('skf-1', { username: 'a/../b?c#d', path: '/in/ü x.csv' }), never);
      assert.equal(requests[0]?.url, '/users/a%2F..%2Fb%3Fc%23d/files/in/%C3%BC%20x.csv?id=skf-1');
      assert.equal(requests[0]?.headers['x-path'], 'p=/in/%C3%BC%20x.csv');
    });

    it('are refused when they are missing or would climb', async () => {
      const { url, requests } = await serve();
      for (const [text, data] of [
        ['/{data.sourcePath}', {}],
        ['/a/{data.username}/b', { username: '..' }],
        ['/a/{+data.path}', { path: '/x/../../etc' }],
        ['/a/.{data.username}', { username: '.' }],
      ] as const) {
        assert.equal((await target(`${url}${text}`).deliver(uploadedInput('e', data), never)).kind, 'rejected', text);
      }
      assert.equal(requests.length, 0);
      for (const text of ['http://{data.username}.example/', 'http://x.example:{id}/', 'http://{id}@x/'])
        assert.throws(() => target(text), HttpTargetError, text);
    });
  });

  describe('body: file', () => {
    const file = (...parts: readonly string[]): OpenEventFile => {
      return async () => ({
        sizeBytes: Buffer.byteLength(parts.join('')),
        etag: '"1"',
        content: (async function* () {
          for (const part of parts) yield Buffer.from(part);
        })(),
      });
    };

    it('sends the file itself and tells what it is', async () => {
      const { url, requests } = await serve();
      const outcome = await target(url, { openFile: file('hello ', 'world') }).deliver(uploadedInput('skf-1'), never);
      assert.deepEqual(outcome, { kind: 'delivered', detail: 'HTTP 200' });
      const [seen] = requests;
      assert.equal(seen?.body.toString(), 'hello world');
      assert.equal(seen?.headers['content-length'], '11');
      assert.equal(seen?.headers['content-type'], 'application/octet-stream');
      assert.equal(seen?.headers['skiff-event-id'], 'skf-1');
      assert.equal(seen?.headers['skiff-path'], '/in/%C3%BC.csv');
    });

    it('sends an empty file', async () => {
      const { url, requests } = await serve();
      assert.equal((await target(url, { openFile: file() }).deliver(uploadedInput('e', { sizeBytes: 0 }), never)).kind, 'delivered');
      assert.equal(requests[0]?.headers['content-length'], '0');
    });

    it('gives up for good when that version is gone, before or in the middle, and tries again when the store is away', async () => {
      const { url, requests } = await serve();
      const failing = (code: 'conflict' | 'notFound' | 'unavailable', after: boolean): OpenEventFile => {
        const error = new StoreError({ code, message: 'gone' });
        return async () => {
          if (!after) throw error;
          return {
            sizeBytes: 1_000_000,
            etag: '"1"',
            content: (async function* () {
              yield Buffer.alloc(500_000);
              throw error;
            })(),
          };
        };
      };
      for (const after of [false, true]) {
        for (const [code, kind] of [
          ['conflict', 'rejected'],
          ['notFound', 'rejected'],
          ['unavailable', 'retry'],
        ] as const) {
          const outcome = await target(url, { openFile: failing(code, after) }).deliver(uploadedInput('e'), never);
          assert.ok(outcome.kind === kind && outcome.reason.includes('file'), JSON.stringify(outcome));
        }
      }
      assert.equal(requests.length, 0, 'no application has taken half a file for a whole one');
      const noFile = { eventId: 'm', event: undefined, body: Buffer.from('{}'), contentType: 'application/json', attempt: 1 };
      assert.equal((await target(url, { openFile: file('x') }).deliver(noFile, never)).kind, 'rejected');
    });
  });
});
