import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventSchema } from '@skiff/model/event-reference';
import type { BlobName } from '@skiff/model/virtual-path';
import { Compile } from 'typebox/compile';
import { eventually } from '../support/eventually.ts';
import type { ServerProcess } from '../support/sftp-server-process.ts';
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
  const router = await rig.startRouter();
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

/** Kills a server at a failpoint while it closes an upload; another one goes on. */
async function killedAt(failpoint: string, path: string): Promise<void> {
  const victim: ServerProcess = await rig.site.start({ SKIFF_FAILPOINTS: `${failpoint}=kill` });
  const local = join(rig.dir, 'killed');
  await writeFile(local, randomBytes(100_000));
  const result = await rig.client.sftp(victim.byKey, [`put ${local} ${path}`]);
  assert.notEqual(result.exitCode, 0, 'the client must not be told that an unfinished upload succeeded');
  await eventually('the death of the server', () => !victim.process.running, 5000);
}

test('kill -9 between blob commit and publish: after a restart the event is delivered, once', async (t) => {
  const router = await rig.startRouter();
  await killedAt('upload.blobCommitted', '/killed-1');
  const startedAt = performance.now();
  assert.equal(rig.delivered().filter((event) => event.data.path === '/killed-1').length, 0);
  const server = await rig.site.start();
  await eventually('the delivery', () => rig.delivered().some((event) => event.data.path === '/killed-1'), 60_000);
  t.diagnostic(`delivered ${Math.round(performance.now() - startedAt)} ms after the restart`);
  const [event] = rig.delivered().filter((one) => one.data.path === '/killed-1');
  const blob = await rig.blobs.stat('ann/killed-1' as BlobName, AbortSignal.timeout(5000));
  assert.equal(event?.data.blob.etag, blob?.etag);
  await sleep(1500);
  assert.equal(rig.delivered().filter((one) => one.data.path === '/killed-1').length, 1);
  await server.process.stop();
  await router.stop();
});

test('kill -9 after the row is committed and before the event is sent: it is delivered', async () => {
  const router = await rig.startRouter();
  await killedAt('upload.committed', '/killed-2');
  const server = await rig.site.start();
  await eventually('the delivery', () => rig.delivered().some((event) => event.data.path === '/killed-2'), 60_000);
  await server.process.stop();
  await router.stop();
});

test('kill -9 before the blob is committed: no blob, no event, and the name is free again', async () => {
  await killedAt('upload.committing', '/killed-3');
  const server = await rig.site.start();
  const local = join(rig.dir, 'again');
  await writeFile(local, 'again');
  assert.equal(await rig.blobs.stat('ann/killed-3' as BlobName, AbortSignal.timeout(5000)), undefined);
  await eventually('a second upload', async () => (await rig.client.sftp(server.byKey, [`put ${local} /killed-3`])).exitCode === 0, 60_000);
  await server.process.stop();
});
