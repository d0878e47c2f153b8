import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { Random } from '../support/random.ts';
import type { ServerProcess } from '../support/sftp-server-process.ts';
import { SftpStatusError, SftpTestClient } from '../support/sftp-test-client.ts';
import { collect, settle } from './collect.ts';
import { contentOf } from './content.ts';
import { type FaultRig, startFaultRig } from './fault-rig.ts';

const MIB = 1024 * 1024;
/** Servers wait at their failpoints until MySQL is gone, and go on before it is back. */
const HELD_MS = 5_000;
const OUTAGE_MS = 9_000;
const LIMIT_MS = 60_000;

/** The row says `committing` when MySQL goes: before the store has the file, and after. */
const CASES = ['upload.committing', 'upload.blobCommitted'].flatMap((failpoint) => [
  { failpoint, size: 'small', sizeBytes: 5_000 },
  { failpoint, size: 'multi-block', sizeBytes: 2.5 * MIB },
]);
type Case = (typeof CASES)[number];

const directoryOf = ({ failpoint, size }: Case): string => `lost-${failpoint}-${size}`;

// One outage for all of them: what takes the time is waiting for leases.
describe('MySQL is lost with the servers alive: told truthfully, and file and event agree afterwards', { concurrency: true }, () => {
  let rig: FaultRig;
  const random = new Random(1);
  const uploads = new Map<Case, Upload>();

  before(async () => {
    rig = await startFaultRig();
    const starting = CASES.map(async (one) => {
      const server = await rig.site.start({ SKIFF_FAILPOINTS: `${one.failpoint}=sleep:${HELD_MS}` });
      return { one, server, client: await SftpTestClient.connect(server.byKey) };
    });
    for (const { one, server, client } of await Promise.all(starting)) {
      const attempt = random.hex(16);
      uploads.set(one, { server, client, attempt, told: tell(client.put(`/${directoryOf(one)}/file`, contentOf(attempt, one.sizeBytes))) });
    }
    await eventually('all of them commit', async () => (await committing(rig)) === CASES.length);
    rig.databaseGate.shut();
    await sleep(OUTAGE_MS);
    rig.databaseGate.open();
    await Promise.all([...uploads.values()].map(({ told }) => told));
    assert.ok((await settle(rig, LIMIT_MS)) < LIMIT_MS);
  });
  after(() => rig?.stop());

  for (const one of CASES) {
    test(`at ${one.failpoint} of a ${one.size} file`, async (t) => {
      const upload = uploads.get(one);
      assert.ok(upload !== undefined);
      const answer = await upload.told;
      t.diagnostic(answer);
      assert.match(answer, /^(acknowledged|refused with the reason)$/);
      const before = await collect(rig, `ann/${directoryOf(one)}`, { attempts: [] });
      const ids = new Set(before.arrivals.map((arrival) => arrival.id));
      assert.equal(ids.size, before.versions.length, 'no file without its event, no event without its file');
      if (answer === 'acknowledged') assert.equal(before.versions[0]?.attempt, upload.attempt);
      const second = random.hex(16);
      await upload.client.put(`/${directoryOf(one)}/file`, contentOf(second, one.sizeBytes));
      assert.ok((await settle(rig, LIMIT_MS)) < LIMIT_MS);
      const after = await collect(rig, `ann/${directoryOf(one)}`, { attempts: [] });
      assert.equal(after.versions[0]?.attempt, second, 'the name is free again');
      assert.equal(new Set(after.arrivals.map((arrival) => arrival.id)).size, ids.size + 1);
      assert.ok(upload.server.process.running, 'the same process, not restarted');
    });
  }
});

interface Upload {
  readonly server: ServerProcess;
  readonly client: SftpTestClient;
  readonly attempt: string;
  /** What its client was told in the end. */
  readonly told: Promise<string>;
}

async function tell(put: Promise<void>): Promise<string> {
  try {
    await put;
    return 'acknowledged';
  } catch (error) {
    return error instanceof SftpStatusError && error.message.length > 10 ? 'refused with the reason' : String(error);
  }
}

async function committing(rig: FaultRig): Promise<number> {
  const rows = await rig.database.database.queries.selectFrom('operations').select('id').where('state', '=', 'committing').execute();
  return rows.length;
}
