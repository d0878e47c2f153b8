import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BlobName, parseVirtualPath, toBlobName, toJail } from '@skiff/model/virtual-path';
import { silentLogger } from '@skiff/runtime/logger';
import fc from 'fast-check';
import { createContainer, startAzurite } from '../testing/azurite-fixture.ts';
import { createAzureBlobStore } from './azure-blob-store.ts';
import { encodeBlobName } from './blob-path.ts';

const segment = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 });
const blobName = fc
  .array(segment, { minLength: 1, maxLength: 3 })
  .map((segments) => {
    try {
      return toBlobName(toJail('/', '/'), parseVirtualPath(`/${segments.join('/')}`));
    } catch {
      return 'refused-by-the-path-rules' as BlobName;
    }
  })
  .filter((name) => name !== '');

test('an encoded name is a URL path that decodes to the name and ends nowhere else', () => {
  fc.assert(
    fc.property(blobName, (name) => {
      const url = new URL(`https://host/container/${encodeBlobName(name)}`);
      assert.deepEqual([url.search, url.hash], ['', '']);
      assert.equal(url.pathname.split('/').slice(2).map(decodeURIComponent).join('/'), name);
    }),
    { numRuns: 1000 },
  );
});

test('any legal name is stored, found, read and signed for under itself', { timeout: 60_000 }, async () => {
  const azurite = await startAzurite();
  const signal = AbortSignal.timeout(50_000);
  try {
    const container = await createContainer(azurite);
    const store = createAzureBlobStore({ accountUrl: azurite.accountUrl, container, credential: azurite.credential, logger: silentLogger });
    await fc.assert(
      fc.asyncProperty(blobName, async (name) => {
        const bytes = Buffer.from(name);
        await store.stageBlock(name, 'b1', { parts: [bytes], sizeBytes: bytes.length }, signal);
        const { etag } = await store.commitBlocks(name, [{ id: 'b1', sizeBytes: bytes.length }], { metadata: {}, signal });
        assert.equal((await store.stat(name, signal))?.etag, etag);
        assert.equal(Buffer.concat(await store.read(name, { offset: 0, length: 4096, etag }, signal)).toString(), name);
        const cut = name.lastIndexOf('/');
        const listed: string[] = [];
        for await (const page of store.list((cut === -1 ? '' : name.slice(0, cut)) as BlobName, signal)) listed.push(...page.map((entry) => entry.name));
        assert.ok(listed.includes(name.slice(cut + 1)));
        await store.remove(name, { etag, signal });
      }),
      { numRuns: 60 },
    );
    await store.close();
  } finally {
    await azurite.stop();
  }
});
