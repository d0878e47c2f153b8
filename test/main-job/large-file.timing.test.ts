import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { openTestDatabase } from '@skiff/database/testing';
import { peakRssMibOf } from '../bench/process-cpu.ts';
import { startBlobStandInProcess } from '../emulators/blob-stand-in/blob-stand-in-process.ts';
import { OpenSshClient } from '../support/openssh-client.ts';
import { prepareServerSite } from '../support/sftp-server-process.ts';

const GIB = 1024 ** 3;
const MAX_RSS_MIB = 300;

/** A gibibyte that no run-length or block trick can shorten: the key stream of a counter. */
async function* gibibyte(): AsyncGenerator<Buffer> {
  for (let block = 0; block < 1024; block++) {
    const seed = createHash('shake256', { outputLength: 64 * 1024 })
      .update(`block ${block}`)
      .digest();
    for (let repeat = 0; repeat < 16; repeat++) yield Buffer.from(seed.map((byte) => byte ^ repeat));
  }
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

test(`1 GiB goes up and comes down with equal SHA-256 while the server stays below ${MAX_RSS_MIB} MiB`, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-large-'));
  const database = await openTestDatabase();
  const blobs = await startBlobStandInProcess({ containers: ['files'] });
  const client = new OpenSshClient(join(dir, 'client'));
  const site = await prepareServerSite({
    dir: join(dir, 'site'),
    databaseUrl: database.url,
    storage: { kind: 'azureBlob', account: blobs.accountName, container: 'files', prefix: '', endpoint: blobs.url },
    events: null,
    env: { AZURE_STORAGE_KEY: blobs.accountKey },
    client,
  });
  try {
    const server = await site.start();
    const local = join(dir, 'gibibyte');
    await pipeline(gibibyte(), createWriteStream(local));
    const up = await client.sftp(server.byKey, [`put ${local} /gibibyte`]);
    assert.equal(up.exitCode, 0, up.stderr);
    const expected = await sha256Of(local);
    const down = await client.sftp(server.byKey, [`get /gibibyte ${local}`]);
    assert.equal(down.exitCode, 0, down.stderr);
    assert.equal(await sha256Of(local), expected);
    const rssMib = peakRssMibOf(server.process.pid);
    t.diagnostic(
      `up ${Math.round(GIB / 1024 / 1024 / (up.elapsedMs / 1000))} MiB/s, down ${Math.round(GIB / 1024 / 1024 / (down.elapsedMs / 1000))} MiB/s, peak RSS ${Math.round(rssMib)} MiB`,
    );
    assert.ok(rssMib < MAX_RSS_MIB, `peak RSS ${rssMib} MiB`);
    assert.equal(await server.process.stop(), 0);
  } finally {
    await site.close();
    await blobs.stop();
    await database.close();
    await rm(dir, { recursive: true, force: true });
  }
});
