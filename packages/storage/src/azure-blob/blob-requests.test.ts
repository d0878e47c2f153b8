import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import type { BlobName } from '@skiff/model/virtual-path';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import type { FileStore } from '../file-store.ts';
import { createAzureBlobStore } from './azure-blob-store.ts';

const FILE = 'f' as BlobName;
const CONTENT = { parts: [Buffer.from('ab'), Buffer.from('cd')], sizeBytes: 4 };
const ETAG = '"0x1"';
const WRITTEN = { etag: ETAG, 'last-modified': new Date().toUTCString() };
const signal = (): AbortSignal => AbortSignal.timeout(10_000);

async function withServer(serve: (incoming: IncomingMessage, outgoing: ServerResponse) => void, run: (store: FileStore) => Promise<void>): Promise<void> {
  const server = http.createServer(serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const credential = { accountName: 'account', accountKey: new Secret('a2V5') };
  const accountUrl = `http://127.0.0.1:${address.port}/account`;
  const store = createAzureBlobStore({ accountUrl, container: 'files', credential, logger: silentLogger, timeouts: { transferMs: 3000 } });
  try {
    await run(store);
  } finally {
    await store.close();
    server.closeAllConnections();
    server.close();
  }
}

const unavailable = (error: unknown): boolean => error instanceof StoreError && error.code === 'unavailable';

/** Ends each connection when a second request arrives on it, as a server does whose idle time is over at that moment. */
function oncePerConnection(): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  const used = new WeakSet<Socket>();
  return (incoming, outgoing) => {
    if (used.has(incoming.socket)) {
      incoming.socket.resetAndDestroy();
      return;
    }
    used.add(incoming.socket);
    incoming.resume().on('end', () => outgoing.writeHead(201, WRITTEN).end());
  };
}

test('repeats a block on a fresh connection when the kept one turns out closed', async () => {
  await withServer(oncePerConnection(), async (store) => {
    for (let i = 0; i < 3; i++) await store.stageBlock(FILE, 'b1', CONTENT, signal());
  });
});

test('does not repeat a put, whose condition would refuse what the first had written', async () => {
  await withServer(oncePerConnection(), async (store) => {
    await store.put(FILE, CONTENT, { metadata: {}, signal: signal() });
    await assert.rejects(store.put(FILE, CONTENT, { metadata: {}, signal: signal() }), unavailable);
  });
});

test('gives up an answer that is larger than the range asked for', async () => {
  const serve = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    incoming.resume();
    outgoing.writeHead(206, { etag: ETAG, 'content-range': 'bytes 0-9/10' });
    const timer = setInterval(() => outgoing.write(Buffer.alloc(64 * 1024)), 1);
    outgoing.on('error', () => clearInterval(timer)).on('close', () => clearInterval(timer));
  };
  await withServer(serve, async (store) => {
    await assert.rejects(store.read(FILE, { offset: 0, length: 10, etag: ETAG }, signal()), unavailable);
  });
});

const cases: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
  ['is shorter than asked in the middle of a file', { 'content-range': 'bytes 0-2/100' }, 'abc'],
  ['does not say which range it is', {}, 'abcde'],
  ['is another range', { 'content-range': 'bytes 5-9/100' }, 'abcde'],
  ['has fewer bytes than it says', { 'content-range': 'bytes 0-4/100' }, 'abc'],
];
for (const [claim, headers, body] of cases) {
  test(`refuses an answer that ${claim}`, async () => {
    const serve = (_: IncomingMessage, outgoing: ServerResponse): void => void outgoing.writeHead(206, { etag: ETAG, ...headers }).end(body);
    await withServer(serve, async (store) => {
      await assert.rejects(store.read(FILE, { offset: 0, length: 5, etag: ETAG }, signal()), unavailable);
    });
  });
}

test('reports a refusal that arrives while the body is still being sent', async () => {
  const serve = (_: IncomingMessage, outgoing: ServerResponse): void =>
    void outgoing.writeHead(503, { 'x-ms-error-code': 'ServerBusy', connection: 'close' }).end();
  await withServer(serve, async (store) => {
    const large = { parts: Array.from({ length: 512 }, () => Buffer.alloc(65_536)), sizeBytes: 512 * 65_536 };
    await assert.rejects(
      store.stageBlock(FILE, 'b1', large, signal()),
      (error: unknown) => error instanceof StoreError && ['throttled', 'unavailable'].includes(error.code),
    );
  });
});

test('says that a write without an answered version has an unknown outcome', async () => {
  const serve = (incoming: IncomingMessage, outgoing: ServerResponse): void => void incoming.resume().on('end', () => outgoing.writeHead(201).end());
  await withServer(serve, async (store) => {
    await assert.rejects(store.put(FILE, CONTENT, { metadata: {}, signal: signal() }), unavailable);
  });
});

/** A container without the blob, whose listing is these pages. */
function listing(...pages: readonly string[]): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  let next = 0;
  return (incoming, outgoing) => {
    if (incoming.method === 'HEAD') return void outgoing.writeHead(404, { 'x-ms-error-code': 'BlobNotFound' }).end();
    const marker = new URL(incoming.url ?? '', 'http://h').searchParams.get('marker');
    assert.equal(marker, next === 0 ? null : `m&${next}`);
    outgoing.end(pages[next++]);
  };
}
const page = (items: string, marker: string): string => `<EnumerationResults><Blobs>${items}</Blobs>${marker}</EnumerationResults>`;

test('looks for what lies below a directory behind empty pages', async () => {
  const found = page('<Blob><Name>f/x</Name></Blob>', '<NextMarker>more</NextMarker>');
  await withServer(listing(page('', '<NextMarker>m&amp;1</NextMarker>'), page('', '<NextMarker>m&amp;2</NextMarker>'), found), async (store) => {
    assert.equal((await store.stat(FILE, signal()))?.isDirectory, true);
  });
  await withServer(listing(page('', '<NextMarker>m&amp;1</NextMarker>'), page('', '<NextMarker/>')), async (store) => {
    assert.equal(await store.stat(FILE, signal()), undefined);
  });
});

test('does not take a page of a proxy for an empty directory', async () => {
  await withServer(listing('<html><body>Blob storage is down for maintenance</body></html>'), async (store) => {
    await assert.rejects(store.stat(FILE, signal()), unavailable);
  });
});

test('learns nothing from the target of a copy that is not done', async () => {
  const serve = (status: string) => (_: IncomingMessage, outgoing: ServerResponse) =>
    void outgoing.writeHead(200, { ...WRITTEN, 'x-ms-copy-status': status, 'x-ms-meta-skiff_upload': 'u' }).end();
  await withServer(serve('pending'), async (store) => assert.rejects(store.stat(FILE, signal()), unavailable));
  await withServer(serve('failed'), async (store) => assert.deepEqual((await store.stat(FILE, signal()))?.metadata, {}));
  await withServer(serve('success'), async (store) => assert.deepEqual((await store.stat(FILE, signal()))?.metadata, { skiff_upload: 'u' }));
});

test('is unavailable when nobody listens', async () => {
  const credential = { accountName: 'account', accountKey: new Secret('a2V5') };
  const store = createAzureBlobStore({ accountUrl: 'http://127.0.0.1:1/account', container: 'files', credential, logger: silentLogger });
  await assert.rejects(store.stageBlock(FILE, 'b1', CONTENT, signal()), unavailable);
  await assert.rejects(store.stat(FILE, signal()), unavailable);
  await store.close();
});

test('sends no token over plain HTTP', () => {
  const credential = { getToken: async () => ({ token: 't', expiresOnTimestamp: Date.now() + 3600_000 }) };
  assert.throws(() => createAzureBlobStore({ accountUrl: 'http://127.0.0.1:1/a', container: 'files', credential, logger: silentLogger }), RangeError);
});

test('refuses an account URL with credentials or a container name that is none', () => {
  const credential = { accountName: 'account', accountKey: new Secret('a2V5') };
  for (const accountUrl of ['https://h/?sv=1', 'ftp://h', 'h', 'https://user@h/']) {
    assert.throws(() => createAzureBlobStore({ accountUrl, container: 'files', credential, logger: silentLogger }), RangeError);
  }
  for (const container of ['', 'ab', 'A-b-c', 'a--b', 'a/b', '../x', '-abc']) {
    assert.throws(() => createAzureBlobStore({ accountUrl: 'https://h', container, credential, logger: silentLogger }), RangeError);
  }
});
