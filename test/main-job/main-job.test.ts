import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventSchema } from '@skiff/model/event-reference';
import type { BlobName } from '@skiff/model/virtual-path';
import { Compile } from 'typebox/compile';
import { eventually } from '../support/eventually.ts';
import type { ServerProcess } from '../support/sftp-server-process.ts';
import type { SkiffProcess } from '../support/skiff-process.ts';
import { type MainJobRig, startMainJobRig } from './main-job-rig.ts';

const FILES = 1000;
const SESSIONS = 4;

let rig: MainJobRig;
before(async () => {
  rig = await startMainJobRig();
});
after(() => rig.stop());

test(`${FILES} files of 4 KiB are ${FILES} blobs, ${FILES} unique events and ${FILES} deliveries`, async (t) => {
  const server = await rig.site.start();
  const router = await rig.site.startRouter();
  const dir = join(rig.dir, 'small');
  await mkdir(dir);
  for (let index = 0; index < FILES; index++) await writeFile(join(dir, `f${index}`), randomBytes(4096));
  const startedAt = performance.now();
  const sent = await Promise.all(
    Array.from({ length: SESSIONS }, (_, session) => {
      const puts = Array.from(
        { length: FILES / SESSIONS },
        (__, index) => `put ${join(dir, `f${session + index * SESSIONS}`)} /many/f${session + index * SESSIONS}`,
      );
      return rig.client.sftp(server.byKey, puts);
    }),
  );
  for (const result of sent) assert.equal(result.exitCode, 0, result.stderr);
  t.diagnostic(`${Math.round(FILES / ((performance.now() - startedAt) / 1000))} files a second against Azurite`);
  const names = new Set<string>();
  for await (const page of rig.blobs.list('ann/many' as BlobName, AbortSignal.timeout(60_000))) for (const entry of page) names.add(entry.name);
  assert.equal(names.size, FILES);
  await eventually('all deliveries', () => rig.delivered().length >= FILES, 60_000);
  const delivered = rig.delivered();
  assert.equal(new Set(delivered.map((event) => event.id)).size, FILES);
  assert.equal(new Set(delivered.map((event) => event.data.path)).size, FILES);
  assert.equal(delivered.length, FILES);
  const uploaded = Compile(eventSchema('dev.skiff.file.uploaded'));
  for (const event of delivered) assert.ok(uploaded.Check(event), JSON.stringify(event));
  assert.equal(await server.process.stop(), 0);
  assert.equal(await router.stop(), 0);
});

describe('kill -9 of a server while it closes an upload', () => {
  const delivered = (path: string) => rig.delivered().filter((event) => event.data.path === path);
  const stored = (path: string) => rig.blobs.stat(`ann${path}` as BlobName, AbortSignal.timeout(5000));
  let router: SkiffProcess;
  let successor: ServerProcess;

  /** Each at its point, all at once: what takes the time is waiting for the leases of the dead. */
  before(async () => {
    router = await rig.site.startRouter();
    await Promise.all([
      killedAt('upload.blobCommitted', '/blob-committed'),
      killedAt('upload.committed', '/row-committed'),
      killedAt('upload.committing', '/committing'),
    ]);
    assert.deepEqual([...delivered('/blob-committed'), ...delivered('/committing')], []);
    assert.equal(await stored('/committing'), undefined);
    successor = await rig.site.start();
  });
  after(async () => {
    await successor.process.stop();
    await router.stop();
  });

  async function killedAt(failpoint: string, path: string): Promise<void> {
    const victim = await rig.site.start({ SKIFF_FAILPOINTS: `${failpoint}=kill` });
    const local = join(rig.dir, failpoint);
    await writeFile(local, randomBytes(100_000));
    const result = await rig.client.sftp(victim.byKey, [`put ${local} ${path}`]);
    assert.notEqual(result.exitCode, 0, 'the client must not be told that an unfinished upload succeeded');
    await victim.process.ended(10_000);
  }

  test('between blob commit and publish: after a restart the event is delivered, once', async (t) => {
    const startedAt = performance.now();
    await eventually('the delivery', () => delivered('/blob-committed').length > 0, 60_000);
    t.diagnostic(`delivered ${Math.round(performance.now() - startedAt)} ms after the restart`);
    await sleep(1500);
    const [event, ...others] = delivered('/blob-committed');
    assert.deepEqual(others, []);
    assert.equal(event?.data.blob.etag, (await stored('/blob-committed'))?.etag);
  });

  test('after the row is committed and before the event is sent: it is delivered', async () => {
    await eventually('the delivery', () => delivered('/row-committed').length > 0, 60_000);
  });

  test('before the blob is committed: no blob, no event, and the name is free again', async () => {
    const local = join(rig.dir, 'again');
    await writeFile(local, 'again');
    await eventually('a second upload', async () => (await rig.client.sftp(successor.byKey, [`put ${local} /committing`])).exitCode === 0, 60_000);
    await eventually('its delivery', () => delivered('/committing').length > 0, 60_000);
    const sizes = delivered('/committing').map((event) => event.data.sizeBytes);
    assert.deepEqual(sizes, ['again'.length]);
  });
});
