import { setTimeout as sleep } from 'node:timers/promises';
import { Traffic, type UploadPlan } from '../traffic.ts';
import { judge, type Scenario, type ScenarioContext } from './scenario.ts';

const MIB = 1024 * 1024;
const RECOVERY_TIMEOUT_MS = 60_000;
/** First look for what has landed late, and one more. */
const LOOKS_MS = 18_000;

/** Before the last check of the lease, and after it with the request as good as sent. */
const POINTS = ['upload.committing', 'upload.sending'] as const;

/** SIGSTOP before the commit, SIGCONT after recovery has dealt with the row: no blob without its event, no event without its blob. */
export const zombies: Scenario = {
  name: 'SIGSTOP',
  async run(context) {
    const { rig, checks, progress } = context;
    const traffic = new Traffic(context.random);
    const survivor = await rig.site.start();
    const cases = POINTS.flatMap((failpoint) =>
      [10_000, 2.5 * MIB].flatMap((sizeBytes) => [false, true].map((overwrite) => ({ failpoint, sizeBytes, overwrite }))),
    );
    const plans = cases.map(({ failpoint, sizeBytes, overwrite }) => ({
      failpoint,
      overwrite,
      plan: { path: `/stopped/${failpoint}-${sizeBytes}-${overwrite}`, sizeBytes, login: survivor.byKey, home: 'ann' } satisfies UploadPlan,
    }));
    await Promise.all(plans.filter(({ overwrite }) => overwrite).map(({ plan }) => traffic.uploadOnce(plan)));
    const stopped = [];
    for (const { failpoint, plan } of plans) {
      const server = await rig.site.start({ SKIFF_FAILPOINTS: `${failpoint}=stop` });
      stopped.push({ server, upload: traffic.uploadOnce({ ...plan, login: server.byKey }) });
      progress(`${failpoint} ${plan.path}: stopped`);
    }
    const recovered = await untilRecovered(context, plans.length);
    checks.add('SIGSTOP: operations that recovery dealt with', recovered, 'uploads', `== ${plans.length}`);
    for (const { server } of stopped) server.process.signal('SIGCONT');
    progress('all continue');
    await Promise.all(stopped.map(({ upload }) => upload));
    await sleep(LOOKS_MS);
    await judge(context, { name: 'SIGSTOP', directory: 'ann/stopped', traffic });
    for (const { server } of stopped) await server.process.kill();
    await survivor.process.stop();
  },
};

/** Rows whose epoch shows that somebody else has taken them over, and that have come to an end. */
async function untilRecovered({ rig }: ScenarioContext, expected: number): Promise<number> {
  for (const end = performance.now() + RECOVERY_TIMEOUT_MS; ; ) {
    const rows = await rig.database.database.queries.selectFrom('operations').select(['blob_name', 'state', 'epoch']).where('epoch', '>', 1).execute();
    const done = rows.filter((row) => row.blob_name.startsWith('ann/stopped/') && row.state !== 'committing' && row.state !== 'open').length;
    if (done >= expected || performance.now() > end) return done;
    await sleep(500);
  }
}
