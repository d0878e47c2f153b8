import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SftpStatusError, SftpTestClient } from '../support/sftp-test-client.ts';
import { collect, settle } from './collect.ts';
import { contentOf } from './content.ts';
import { type FaultRig, startFaultRig } from './fault-rig.ts';
import { Random } from './random.ts';

const MIB = 1024 * 1024;
const OUTAGE_MS = 6_000;
const LIMIT_MS = 60_000;

let rig: FaultRig;
before(async () => {
  rig = await startFaultRig();
});
after(() => rig.stop());

/** The row says `committing` when MySQL goes: before the store has the file, and after. */
for (const failpoint of ['upload.committing', 'upload.blobCommitted'] as const) {
  for (const [size, sizeBytes] of [
    ['small', 5_000],
    ['multi-block', 2.5 * MIB],
  ] as const) {
    test(`MySQL is lost at ${failpoint} of a ${size} file with the server alive: told truthfully, and file and event agree afterwards`, async (t) => {
      const server = await rig.site.start({ SKIFF_FAILPOINTS: `${failpoint}=sleep:2500` });
      const client = await SftpTestClient.connect(server.byKey);
      const directory = `lost-${failpoint}-${size}`;
      const path = `/${directory}/file`;
      const first = new Random(1).hex(16);
      const told = client.put(path, contentOf(first, sizeBytes)).then(
        () => 'acknowledged',
        (error: unknown) => (error instanceof SftpStatusError && error.message.length > 10 ? 'refused with the reason' : String(error)),
      );
      for (let waited = 0; waited < 20_000 && !(await committing(`ann${path}`)); waited += 50) await sleep(50);
      rig.databaseGate.shut();
      await sleep(OUTAGE_MS);
      rig.databaseGate.open();
      const answer = await told;
      t.diagnostic(answer);
      assert.match(answer, /^(acknowledged|refused with the reason)$/);
      assert.ok((await settle(rig, LIMIT_MS)) < LIMIT_MS);
      const before = await collect(rig, `ann/${directory}`, { attempts: [] });
      const ids = new Set(before.arrivals.map((arrival) => arrival.id));
      assert.equal(ids.size, before.versions.length, 'no file without its event, no event without its file');
      if (answer === 'acknowledged') assert.equal(before.versions[0]?.attempt, first);
      const second = new Random(2).hex(16);
      await client.put(path, contentOf(second, sizeBytes));
      await settle(rig, LIMIT_MS);
      const after = await collect(rig, `ann/${directory}`, { attempts: [] });
      assert.equal(after.versions[0]?.attempt, second, 'the name is free again');
      assert.equal(new Set(after.arrivals.map((arrival) => arrival.id)).size, ids.size + 1);
      assert.ok(server.process.running, 'the same process, not restarted');
      client.end();
      await server.process.stop();
    });
  }
}

async function committing(blob: string): Promise<boolean> {
  const rows = await rig.database.database.queries.selectFrom('operations').select('state').where('blob_name', '=', blob).execute();
  return rows.some((row) => row.state === 'committing');
}
