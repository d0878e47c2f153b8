import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '@skiff/runtime/clock';
import { LEASE_MS } from '@skiff/sftp-server/lease';
import { sql } from 'kysely';
import { eventually } from '../support/eventually.ts';
import { RESUME_FLAGS } from '../support/sftp-test-client.ts';
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

for (const overwrite of [false, true]) {
  test(`a disconnect before CLOSE of ${overwrite ? 'an overwrite' : 'a new file'} changes nothing, makes no event, and can be resumed`, async () => {
    const path = `/cut-${overwrite}`;
    const [old, content] = [randomBytes(500), randomBytes(4 * MIB)];
    const reader = await rig.connect();
    if (overwrite) {
      await reader.put(path, old);
      await rig.nextEvents(1);
    }
    const writer = await rig.connect();
    await rig.beginUpload(writer, path, content.subarray(0, 3 * MIB));
    writer.destroy();
    const parked = await eventually('nobody owns the upload', async () => {
      const row = await rig.operationOn(path);
      return row?.owner === null && row;
    });
    assert.equal(parked.state, 'open', 'parked, for its user to go on');
    if (overwrite) assert.deepEqual(await reader.get(path), old);
    else assert.equal(await rig.stored(path), undefined);
    await rig.nextEvents(0);
    const resumeAt = await eventually('the length to resume from', async () => {
      const size = (await reader.sizeOf(path)) ?? 0;
      return size > old.length && size;
    });
    assert.ok(resumeAt <= 3 * MIB);
    const handle = await reader.open(path, RESUME_FLAGS);
    await reader.write(handle, content.subarray(resumeAt), resumeAt);
    await reader.close(handle);
    assert.deepEqual(await reader.get(path), content);
    assert.equal((await rig.nextEvents(1)).length, 1);
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
    const client = await rig.connect();
    const path = `/jump-${direction}`;
    const content = randomBytes(3 * MIB);
    await client.put(`${path}-over`, Buffer.from('old'));
    await rig.nextEvents(1);
    const handles = [await rig.beginUpload(client, path, content), await rig.beginUpload(client, `${path}-over`, content)];
    const holders = async () => {
      const rows = await Promise.all([path, `${path}-over`].map(rig.operationOn));
      return rows.map((row) => [row?.id, row?.state, row?.owner, row?.epoch]);
    };
    const before = await holders();
    assert.ok(before.every(([, , owner]) => owner !== undefined && owner !== null));
    jumpedMs += byMs;
    await databaseClockJumps(byMs);
    // Sweepers of two servers look on for more than a lease.
    await sleep(LEASE_MS + 3_000);
    assert.deepEqual(await holders(), before, 'nobody has taken them over, or taken them for orphans');
    for (const handle of handles) await client.close(handle);
    await client.put(`${path}-small`, Buffer.from('x'));
    for (const name of [path, `${path}-over`]) assert.deepEqual(await client.get(name), content);
    assert.deepEqual(new Set((await rig.nextEvents(3)).map((event) => event.data.path)), new Set([path, `${path}-over`, `${path}-small`]));
  });
}
