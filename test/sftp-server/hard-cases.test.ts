import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { lockKeyOf } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { systemClock } from '@skiff/runtime/clock';
import { LEASE_MS } from '@skiff/sftp-server/lease';
import { sql } from 'kysely';
import { RESUME_FLAGS, SftpTestClient } from '../support/sftp-test-client.ts';
import { type ServerRig, startServerRig } from './server-rig.ts';

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;

let rig: ServerRig;
let jumpedMs = 0;
before(async () => {
  const clock = { now: () => new Date(Date.now() + jumpedMs), monotonicMs: systemClock.monotonicMs };
  rig = await startServerRig({ clock });
  await rig.startSecond();
});
after(() => rig.stop());

const stored = (path: string) => rig.store.stat(`ann${path}` as BlobName, AbortSignal.timeout(5000));
const rowOf = (path: string) => rig.log.findByLock(lockKeyOf(rig.store.identity, `ann${path}`));

async function startUpload(client: SftpTestClient, path: string, content: Buffer): Promise<Buffer> {
  const handle = await client.open(path, 'w');
  await client.write(handle, content);
  for (let waited = 0; waited < 5000 && (await rowOf(path)) === undefined; waited += 20) await sleep(20);
  return handle;
}

for (const overwrite of [false, true]) {
  test(`a disconnect before CLOSE of ${overwrite ? 'an overwrite' : 'a new file'} changes nothing, makes no event, and can be resumed`, async () => {
    const path = `/cut-${overwrite}`;
    const [old, content] = [randomBytes(500), randomBytes(4 * MIB)];
    const reader = await SftpTestClient.connect(rig.byKey);
    if (overwrite) {
      await reader.put(path, old);
      await rig.nextEvents(1);
    }
    const writer = await SftpTestClient.connect(rig.byKey);
    await startUpload(writer, path, content.subarray(0, 3 * MIB));
    writer.destroy();
    for (let waited = 0; waited < 5000 && (await rowOf(path))?.owner !== null; waited += 20) await sleep(20);
    assert.equal((await rowOf(path))?.state, 'open', 'parked, for its user to go on');
    if (overwrite) assert.deepEqual(await reader.get(path), old);
    else assert.equal(await stored(path), undefined);
    await rig.nextEvents(0);
    await sleep(1_100);
    const resumeAt = (await reader.sizeOf(path)) ?? 0;
    assert.ok(resumeAt > 0 && resumeAt <= 3 * MIB);
    const handle = await reader.open(path, RESUME_FLAGS);
    await reader.write(handle, content.subarray(resumeAt), resumeAt);
    await reader.close(handle);
    assert.deepEqual(await reader.get(path), content);
    assert.equal((await rig.nextEvents(1)).length, 1);
    reader.end();
  });
}

/** What the database has recorded is an hour older or newer then, as seen by its clock. */
async function databaseClockJumps(byMs: number): Promise<void> {
  const by = sql`INTERVAL ${sql.lit(-byMs * 1000)} MICROSECOND`;
  const { queries } = rig.database.database;
  await sql`UPDATE operations SET created_at = created_at + ${by}, updated_at = updated_at + ${by}, claim_until = claim_until + ${by}`.execute(queries);
  await sql`UPDATE instances SET registered_at = registered_at + ${by}, renewed_at = renewed_at + ${by}`.execute(queries);
}

for (const [direction, byMs] of [
  ['forwards', HOUR_MS],
  ['back', -HOUR_MS],
] as const) {
  test(`clocks that jump an hour ${direction}, the servers' and the database's, steal no live upload and lose and double no event`, async () => {
    const client = await SftpTestClient.connect(rig.byKey);
    const path = `/jump-${direction}`;
    const content = randomBytes(3 * MIB);
    await client.put(`${path}-over`, Buffer.from('old'));
    await rig.nextEvents(1);
    const handles = [await startUpload(client, path, content), await startUpload(client, `${path}-over`, content)];
    const holders = async () => Promise.all([path, `${path}-over`].map(async (name) => [(await rowOf(name))?.epoch, (await rowOf(name))?.owner]));
    const held = await holders();
    jumpedMs += byMs;
    await databaseClockJumps(byMs);
    // Sweepers of two servers look on for more than a lease.
    await sleep(LEASE_MS + 3_000);
    assert.deepEqual(await holders(), held, 'nobody has parked them or taken them over');
    for (const handle of handles) await client.close(handle);
    await client.put(`${path}-small`, Buffer.from('x'));
    for (const name of [path, `${path}-over`]) assert.deepEqual(await client.get(name), content);
    assert.deepEqual(new Set((await rig.nextEvents(3)).map((event) => event.data.path)), new Set([path, `${path}-over`, `${path}-small`]));
    client.end();
  });
}
