import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTransient, StoreError, type StoreErrorCode } from '@skiff/model/store-error';
import type { BlobName } from '@skiff/model/virtual-path';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { type AzureBlobStoreOptions, createAzureBlobStore } from '@skiff/storage/azure-blob';
import type { FileStore } from '@skiff/storage/file-store';
import { type BlobStandIn, type BlobStandInOptions, startBlobStandIn } from './blob-stand-in.ts';

const FILE = 'dir/file' as BlobName;
const TARGET = 'dir/target' as BlobName;
const bytes = (sizeBytes: number) => ({ parts: [Buffer.alloc(sizeBytes, 'x')], sizeBytes });
const signal = (): AbortSignal => AbortSignal.timeout(20_000);

interface Setting {
  readonly standIn?: BlobStandInOptions;
  readonly store?: Partial<AzureBlobStoreOptions>;
}

function withStandIn(claim: string, setting: Setting, run: (store: FileStore, standIn: BlobStandIn) => Promise<void>): void {
  test(claim, { timeout: 30_000 }, async () => {
    const standIn = await startBlobStandIn({ containers: ['files'], ...setting.standIn });
    const credential = { accountName: standIn.accountName, accountKey: new Secret(standIn.accountKey) };
    const store = createAzureBlobStore({ accountUrl: standIn.url, container: 'files', credential, logger: silentLogger, ...setting.store });
    try {
      await run(store, standIn);
    } finally {
      await store.close();
      await standIn.stop();
    }
  });
}

function failure(code: StoreErrorCode, vendorCode?: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StoreError, String(error));
    assert.equal(error.code, code, error.message);
    if (vendorCode !== undefined) assert.equal(error.vendorCode, vendorCode);
    return true;
  };
}

/** One call of each road: hot with a body, hot with an answer, and the SDK. */
function calls(store: FileStore, etag: string): readonly (() => Promise<unknown>)[] {
  return [
    () => store.stageBlock(FILE, 'b1', bytes(100_000), signal()),
    () => store.put(TARGET, bytes(10), { metadata: {}, signal: signal() }),
    () => store.read(FILE, { offset: 0, length: 10, etag }, signal()),
    () => store.stat(FILE, signal()),
    () => store.commitBlocks(TARGET, [], { metadata: {}, signal: signal() }),
    () => store.setMetadata(FILE, {}, { etag, signal: signal() }),
  ];
}

withStandIn('a busy or throttling store is throttled with the time to wait, and is asked once', {}, async (store, standIn) => {
  const { etag } = await store.put(FILE, bytes(1000), { metadata: {}, signal: signal() });
  for (const kind of ['busy', 'throttle'] as const) {
    standIn.setFaults({ errorRate: 1, kinds: [kind], retryAfterSeconds: 7 });
    for (const call of calls(store, etag)) {
      const before = standIn.stats().faults[kind] ?? 0;
      await assert.rejects(call(), (error: unknown) => {
        failure('throttled')(error);
        assert.equal(error instanceof StoreError && error.retryAfterMs, 7000);
        return true;
      });
      assert.equal((standIn.stats().faults[kind] ?? 0) - before, 1);
    }
  }
});

withStandIn('a failing store and a broken connection are unavailable', {}, async (store, standIn) => {
  for (const kind of ['error', 'reset', 'lost'] as const) {
    const { etag } = await store.put(FILE, bytes(1000), { metadata: {}, signal: signal() });
    standIn.setFaults({ errorRate: 1, kinds: [kind] });
    for (const call of calls(store, etag)) await assert.rejects(call(), failure('unavailable'));
    standIn.setFaults({});
  }
});

withStandIn('half a body is unavailable, never a short read', {}, async (store, standIn) => {
  const { etag } = await store.put(FILE, bytes(3_000_000), { metadata: {}, signal: signal() });
  standIn.setFaults({ errorRate: 1, kinds: ['truncate'], operations: ['Get Blob'] });
  await assert.rejects(store.read(FILE, { offset: 0, length: 3_000_000, etag }, signal()), failure('unavailable'));
  standIn.setFaults({});
  const parts = await store.read(FILE, { offset: 0, length: 3_000_000, etag }, signal());
  assert.equal(Buffer.concat(parts).length, 3_000_000);
});

withStandIn('a put whose answer is lost is not repeated behind the caller', {}, async (store, standIn) => {
  await store.stat(FILE, signal());
  standIn.setFaults({ errorRate: 1, kinds: ['lost'], operations: ['Put Blob'] });
  const options = { condition: { kind: 'absent' }, metadata: { skiff_upload: 'u1' }, signal: signal() } as const;
  await assert.rejects(store.put(FILE, bytes(10), options), failure('unavailable'));
  assert.equal(standIn.stats().requests['Put Blob'], 1);
  assert.equal((await store.stat(FILE, signal()))?.metadata.skiff_upload, 'u1');
});

withStandIn('a silent store is unavailable after the timeout', { store: { timeouts: { callMs: 100, transferMs: 100 } } }, async (store, standIn) => {
  const { etag } = await store.put(FILE, bytes(1000), { metadata: {}, signal: signal() });
  standIn.setFaults({ latencyMs: 2000 });
  for (const call of calls(store, etag)) {
    const startedAt = performance.now();
    await assert.rejects(call(), failure('unavailable', 'Timeout'));
    assert.ok(performance.now() - startedAt < 1000);
  }
});

withStandIn('an abort ends a running call at once', {}, async (store, standIn) => {
  const { etag } = await store.put(FILE, bytes(1000), { metadata: {}, signal: signal() });
  standIn.setFaults({ latencyMs: 5000 });
  const startedAt = performance.now();
  const soon = AbortSignal.timeout(50);
  await Promise.all([
    assert.rejects(store.stageBlock(FILE, 'b1', bytes(100_000), soon), failure('aborted')),
    assert.rejects(store.read(FILE, { offset: 0, length: 10, etag }, soon), failure('aborted')),
    assert.rejects(store.stat(FILE, soon), failure('aborted')),
  ]);
  assert.ok(performance.now() - startedAt < 1000);
});

withStandIn('a wrong key is denied', { store: { credential: { accountName: 'devstoreaccount1', accountKey: new Secret('d3Jvbmc=') } } }, async (store) => {
  await assert.rejects(store.probe(signal()), failure('denied'));
  await assert.rejects(store.put(FILE, bytes(1), { metadata: {}, signal: signal() }), failure('denied', 'AuthenticationFailed'));
});

withStandIn('a missing container is unavailable, and no file of it is missing', { store: { container: 'other' } }, async (store) => {
  await assert.rejects(store.probe(signal()), failure('unavailable', 'ContainerNotFound'));
  await assert.rejects(store.stat(FILE, signal()), failure('unavailable', 'ContainerNotFound'));
  await assert.rejects(store.remove(FILE, { signal: signal() }), failure('unavailable', 'ContainerNotFound'));
  await assert.rejects(store.stageBlock(FILE, 'b1', bytes(1), signal()), failure('unavailable', 'ContainerNotFound'));
});

withStandIn('a copy that runs in the background is waited for', { standIn: { copyPendingMs: 300 } }, async (store) => {
  const { etag } = await store.put(FILE, bytes(10), { metadata: {}, signal: signal() });
  const copied = await store.copy({ name: FILE, etag }, TARGET, { metadata: { op: '1' }, signal: signal() });
  const found = await store.stat(TARGET, signal());
  assert.deepEqual([found?.etag, found?.sizeBytes, found?.metadata.op], [copied.etag, 10, '1']);
});

withStandIn('a copy that is not done in time proves nothing', { standIn: { copyPendingMs: 1000 }, store: { timeouts: { copyMs: 150 } } }, async (store) => {
  const { etag } = await store.put(FILE, bytes(10), { metadata: {}, signal: signal() });
  await assert.rejects(store.copy({ name: FILE, etag }, TARGET, { metadata: { op: '1' }, signal: signal() }), failure('unavailable', 'Timeout'));
  // The target is an empty blob that has the new metadata already.
  await assert.rejects(store.stat(TARGET, signal()), failure('unavailable', 'PendingCopyOperation'));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.deepEqual([(await store.stat(TARGET, signal()))?.sizeBytes], [10]);
});

withStandIn('random faults end in an answer or a transient error, and a caller that repeats gets through', {}, async (store, standIn) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  console.log(`seed ${seed}`);
  standIn.setFaults({ errorRate: 0.3, seed, kinds: ['busy', 'throttle', 'error', 'reset', 'lost', 'truncate'] });
  const persist = async <Result>(call: () => Promise<Result>): Promise<Result> => {
    for (let attempt = 0; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        if (!isTransient(error) || attempt > 50) throw error;
      }
    }
  };
  const ids = Array.from({ length: 30 }, (_, i) => `block-${i + 10}`);
  await Promise.all(ids.map((id) => persist(() => store.stageBlock(FILE, id, { parts: [Buffer.from(id)], sizeBytes: id.length }, signal()))));
  const refs = ids.map((id) => ({ id, sizeBytes: id.length }));
  const { etag } = await persist(() => store.commitBlocks(FILE, refs, { metadata: {}, signal: signal() }));
  const found = await persist(() => store.read(FILE, { offset: 0, length: 10_000, etag }, signal()));
  assert.equal(Buffer.concat(found).toString(), ids.join(''));
});

withStandIn('closed idle connections are replaced without the caller noticing', {}, async (store, standIn) => {
  await Promise.all(Array.from({ length: 8 }, (_, i) => store.stageBlock(FILE, `b${i}`, bytes(10), signal())));
  standIn.closeIdleConnections();
  await Promise.all(Array.from({ length: 8 }, (_, i) => store.stageBlock(FILE, `b${i}`, bytes(10), signal())));
});
