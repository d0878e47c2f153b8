import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobName } from '@skiff/model/virtual-path';
import { TEST_STORES } from '../support/test-stores.ts';

/**
 * Azure may drop them (docs/unverified.md); an overwrite whose old version is deleted ends truthfully either way: committed
 * whole, or refused for its missing blocks.
 */
test('Azurite no longer lists what was staged before Delete Blob, and commits it all the same', async (t) => {
  const { store, dispose } = await TEST_STORES.Azurite();
  t.after(dispose);
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
