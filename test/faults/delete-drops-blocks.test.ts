import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { BlobName } from '@skiff/model/virtual-path';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { createAzureBlobStore } from '@skiff/storage/azure-blob';
import type { FileStore } from '@skiff/storage/file-store';
import { AZURITE_ACCOUNT, AZURITE_KEY, type Azurite, startAzurite } from '../emulators/azurite.ts';
import { makeCertificates } from '../emulators/certificates.ts';

let dir: string;
let azurite: Azurite;
let store: FileStore;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-blocks-'));
  const certificates = await makeCertificates(dir);
  azurite = await startAzurite({ certificates, containers: ['files'] });
  store = createAzureBlobStore({
    accountUrl: azurite.blobEndpoint,
    container: 'files',
    credential: { accountName: AZURITE_ACCOUNT, accountKey: new Secret(AZURITE_KEY) },
    logger: silentLogger,
    ca: certificates.ca,
  });
});
after(async () => {
  await store.close();
  await azurite.stop();
  await rm(dir, { recursive: true, force: true });
});

/**
 * Azure may drop them (docs/unverified.md); an overwrite whose old version is deleted ends truthfully either way: committed
 * whole, or refused for its missing blocks.
 */
test('Azurite no longer lists what was staged before Delete Blob, and commits it all the same', async () => {
  const name = 'file' as BlobName;
  const signal = AbortSignal.timeout(20_000);
  const content = { parts: [Buffer.from('block')], sizeBytes: 5 };
  await store.put(name, content, { metadata: { version: '1' }, signal });
  const id = 'b'.repeat(64);
  await store.stageBlock(name, id, content, signal);
  assert.equal((await store.listStagedBlocks(name, signal)).length, 1);
  await store.remove(name, { signal });
  assert.equal((await store.listStagedBlocks(name, signal)).length, 0);
  const { etag } = await store.commitBlocks(name, [{ id, sizeBytes: 5 }], { condition: { kind: 'absent' }, metadata: { version: '2' }, signal });
  assert.equal(Buffer.concat(await store.read(name, { offset: 0, length: 5, etag }, signal)).toString(), 'block');
});
