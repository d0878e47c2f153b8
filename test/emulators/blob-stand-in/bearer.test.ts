import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import type { BlobName } from '@skiff/model/virtual-path';
import { silentLogger } from '@skiff/runtime/logger';
import { createAzureBlobStore } from '@skiff/storage/azure-blob';
import { makeCertificates } from '../certificates.ts';
import { startBlobStandIn } from './blob-stand-in.ts';

const FILE = 'f' as BlobName;

test('one token serves all calls over TLS, and only an authority that was given is trusted', { timeout: 30_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'skiff-tls-'));
  const { ca, key, cert } = await makeCertificates(directory);
  const standIn = await startBlobStandIn({ containers: ['files'], tls: { key, cert } });
  let fetched = 0;
  const credential = {
    getToken: async () => {
      fetched++;
      return { token: 'token', expiresOnTimestamp: Date.now() + 3600_000 };
    },
  };
  const common = { accountUrl: standIn.url, container: 'files', credential, logger: silentLogger };
  const store = createAzureBlobStore({ ...common, ca });
  const distrustful = createAzureBlobStore(common);
  const signal = AbortSignal.timeout(20_000);
  try {
    await Promise.all([store.probe(signal), store.stageBlock(FILE, 'b1', { parts: [Buffer.from('text')], sizeBytes: 4 }, signal)]);
    const { etag } = await store.commitBlocks(FILE, [{ id: 'b1', sizeBytes: 4 }], { metadata: {}, signal });
    assert.equal(Buffer.concat(await store.read(FILE, { offset: 0, length: 9, etag }, signal)).toString(), 'text');
    assert.equal(fetched, 1);
    const untrusted = (error: unknown): boolean => error instanceof StoreError && error.code === 'unavailable';
    await assert.rejects(distrustful.stat(FILE, signal), untrusted);
    await assert.rejects(distrustful.read(FILE, { offset: 0, length: 9, etag }, signal), untrusted);
  } finally {
    await Promise.all([store.close(), distrustful.close(), standIn.stop()]);
    await rm(directory, { recursive: true });
  }
});
