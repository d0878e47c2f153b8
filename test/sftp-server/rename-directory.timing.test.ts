import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { startPrivateMariadb } from '@skiff/database/private-mariadb';
import type { BlobName } from '@skiff/model/virtual-path';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { createAzureBlobStore } from '@skiff/storage/azure-blob';
import { peakRssMibOf } from '../bench/process-cpu.ts';
import { startBlobStandInProcess } from '../emulators/blob-stand-in/blob-stand-in-process.ts';
import { OpenSshClient } from '../support/openssh-client.ts';
import { prepareServerSite } from '../support/sftp-server-process.ts';
import { SftpTestClient } from '../support/sftp-test-client.ts';

const CONTAINER = 'files';
const FILES = 9_900;
/** Every other file lies in a directory of its own. */
const pathOf = (index: number) => (index % 2 === 0 ? `many/${index}` : `many/${index}/f`) as BlobName;
/** 300 MiB here; V8 lets garbage gather on a machine with room, none of it is of use. */
const MAX_PEAK_RSS_MIB = 350;

it('renames a directory of 9,900 files by three requests for each, in as much memory as transfers take', { timeout: 280_000 }, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-rename-'));
  const stops: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  t.after(async () => {
    for (const stop of stops.reverse()) await stop();
  });
  const mariadb = await startPrivateMariadb({ dataDir: join(dir, 'database'), logger: silentLogger, signal: AbortSignal.timeout(90_000), ephemeral: true });
  stops.push(() => mariadb.stop());
  const blobs = await startBlobStandInProcess({ containers: [CONTAINER] });
  stops.push(() => blobs.stop());
  const { url, accountName, accountKey } = blobs;
  await fill(url, { accountName, accountKey: new Secret(accountKey) });
  const site = await prepareServerSite({
    dir: join(dir, 'site'),
    databaseUrl: mariadb.url,
    storage: { kind: 'azureBlob', account: accountName, container: CONTAINER, prefix: '', endpoint: url },
    events: null,
    env: { AZURE_STORAGE_KEY: accountKey },
    client: new OpenSshClient(join(dir, 'client')),
  });
  stops.push(() => site.close());
  const server = await site.start();
  const client = await SftpTestClient.connect(server.byKey);
  const before = await blobs.stats();
  const startedAt = performance.now();
  await client.rename('/many', '/moved');
  const seconds = (performance.now() - startedAt) / 1_000;
  const { requests } = await blobs.stats();
  const made = (operation: string) => (requests[operation] ?? 0) - (before.requests[operation] ?? 0);
  const peakMib = peakRssMibOf(server.process.pid);
  t.diagnostic(`${seconds.toFixed(1)} s, peak RSS ${peakMib.toFixed(0)} MiB, ${JSON.stringify(requests)}`);
  assert.equal(made('Copy Blob'), FILES);
  assert.equal(made('Delete Blob'), FILES);
  // A page has 1,000 names; the check before the rename and the rename itself look at all, and at the directory.
  assert.ok(made('Get Blob Properties') <= FILES + 20, `${made('Get Blob Properties')} looks`);
  assert.ok(made('List Blobs') <= 2 * (FILES / 1_000 + 1) + 20, `${made('List Blobs')} listings`);
  assert.ok(peakMib <= MAX_PEAK_RSS_MIB, `${peakMib} MiB`);
  client.end();
  await server.process.stop();
});

async function fill(accountUrl: string, credential: { readonly accountName: string; readonly accountKey: Secret<string> }): Promise<void> {
  const store = createAzureBlobStore({ accountUrl, container: CONTAINER, credential, logger: silentLogger });
  let next = 0;
  const put = async () => {
    while (next < FILES) {
      const content = { parts: [Buffer.from('x')], sizeBytes: 1 };
      await store.put(`ann/${pathOf(next++)}` as BlobName, content, { metadata: { made: 'here' }, signal: AbortSignal.timeout(60_000) });
    }
  };
  await Promise.all(Array.from({ length: 16 }, put));
  await store.close();
}
