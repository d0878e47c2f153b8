import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { sql } from 'kysely';
import { type ServerRig, startServerRig } from '../sftp-server/server-rig.ts';

const MIB = 1024 * 1024;
const TABLES = ['operations', 'operation_locks', 'operation_looks', 'event_sequence', 'instances'] as const;

let rig: ServerRig;
before(async () => {
  rig = await startServerRig();
});
after(() => rig.stop());

async function backUp(): Promise<void> {
  const { queries } = rig.database.database;
  for (const table of TABLES) await sql`CREATE TABLE ${sql.id(`backup_${table}`)} AS SELECT * FROM ${sql.id(table)}`.execute(queries);
}

async function restore(): Promise<void> {
  const { queries } = rig.database.database;
  for (const table of TABLES) {
    await sql`TRUNCATE TABLE ${sql.id(table)}`.execute(queries);
    await sql`INSERT INTO ${sql.id(table)} SELECT * FROM ${sql.id(`backup_${table}`)}`.execute(queries);
  }
}

test('after the database was restored to an hour ago files are whole, names are free, and new events have new ids', async () => {
  const client = await rig.connect();
  const contents = new Map<string, Buffer>();
  const put = async (path: string, sizeBytes: number) => {
    const content = randomBytes(sizeBytes);
    contents.set(path, content);
    await client.put(path, content);
  };
  await put('/before', 100);
  const content = randomBytes(3 * MIB);
  contents.set('/under-way', content);
  const handle = await rig.beginUpload(client, '/under-way', content.subarray(0, 2 * MIB));
  await rig.nextEvents(1);
  await backUp();

  // The hour that the backup does not know.
  await client.write(handle, content.subarray(2 * MIB), 2 * MIB);
  await client.close(handle);
  await put('/new', 2 * MIB);
  await put('/before', 200);
  const lost = await rig.nextEvents(3);
  client.end();
  await rig.server.stop({ graceMs: 0 });
  await rig.lease.release();
  await restore();

  const server = await rig.startSecond();
  const again = await rig.connect(server);
  for (const [path, expected] of contents) {
    assert.deepEqual(await again.get(path), expected, `${path} is what was acknowledged`);
    assert.equal(await again.sizeOf(path), expected.length, `${path} is shown finished`);
  }
  // The row of the upload says "open" again; the name is not blocked by it.
  for (const path of contents.keys()) await again.put(path, Buffer.from('replaced'));
  const events = await rig.nextEvents(3);
  assert.equal(new Set([...lost, ...events].map((event) => event.id)).size, 6, 'new operations have new ids');
  for (const path of contents.keys()) {
    const stored = await rig.stored(path);
    assert.ok(stored !== undefined, path);
    assert.equal(events.find((event) => event.data.path === path)?.data.blob.etag, stored.etag);
  }
});
