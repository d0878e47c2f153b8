import { inLanes } from '../../support/lanes.ts';
import type { ServerProcess } from '../../support/sftp-server-process.ts';
import { Traffic } from '../traffic.ts';
import { judge, type Scenario, type ScenarioContext } from './scenario.ts';

const MIB = 1024 * 1024;
const SIZES = { small: 10_000, 'multi-block': 2.5 * MIB } as const;
const UPLOADS = 10;
const LONG_ROUNDS = 20;
/** Servers that die at the same time: what takes the time is waiting for leases to run out. */
const LANES = 4;
const DEATH_TIMEOUT_MS = 15_000;

/** Where a server is killed, and which uploads come by there. */
const POINTS = [
  { failpoint: 'upload.intent', sizes: ['multi-block'] },
  { failpoint: 'upload.staged', sizes: ['multi-block'] },
  { failpoint: 'upload.closing', sizes: ['small', 'multi-block'] },
  { failpoint: 'upload.committing', sizes: ['small', 'multi-block'] },
  { failpoint: 'upload.sending', sizes: ['small', 'multi-block'] },
  { failpoint: 'upload.blobCommitted', sizes: ['small', 'multi-block'] },
  { failpoint: 'upload.committed', sizes: ['small', 'multi-block'] },
  { failpoint: 'relay.sent', sizes: ['small', 'multi-block'] },
  { failpoint: 'relay.marked', sizes: ['small', 'multi-block'] },
] as const;

interface Victim {
  readonly failpoint: string;
  readonly size: keyof typeof SIZES;
  readonly overwrite: boolean;
  readonly round: number;
}

function victims(rounds: number): readonly Victim[] {
  const all: Victim[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const { failpoint, sizes } of POINTS) for (const size of sizes) for (const overwrite of [false, true]) all.push({ failpoint, size, overwrite, round });
  }
  return all;
}

/** kill -9 at each named point while ten uploads are under way, new files and overwrites, small and in blocks. */
export const crashPoints: Scenario = {
  name: 'kill -9',
  async run(context) {
    const { rig, checks, progress, long } = context;
    const traffic = new Traffic(context.random);
    const survivor = await rig.site.start();
    let missed = 0;
    let done = 0;
    const list = victims(long ? LONG_ROUNDS : 1);
    await inLanes(LANES, list, async (victim) => {
      const died = await kill(context, { victim, survivor, traffic });
      if (!died) missed++;
      progress(`${++done}/${list.length} ${victim.failpoint} ${victim.size} ${victim.overwrite ? 'overwrite' : 'new'}${died ? '' : ': NOT REACHED'}`);
    });
    checks.add('kill -9: servers killed', list.length - missed, 'servers');
    checks.add('kill -9: points not reached', missed, 'points', '== 0');
    await judge(context, { name: 'kill -9', directory: 'ann/crash', traffic });
    await survivor.process.stop();
  },
};

interface Kill {
  readonly victim: Victim;
  readonly survivor: ServerProcess;
  readonly traffic: Traffic;
}

async function kill({ rig, random }: ScenarioContext, { victim, survivor, traffic }: Kill): Promise<boolean> {
  const { failpoint, size, overwrite, round } = victim;
  const plan = (index: number, server: ServerProcess) => ({
    path: `/crash/${failpoint}-${size}-${overwrite ? 'over' : 'new'}-${round}-${index}`,
    sizeBytes: SIZES[size] + index,
    login: server.byKey,
    home: 'ann',
  });
  const indices = Array.from({ length: UPLOADS }, (_, index) => index);
  if (overwrite) await Promise.all(indices.map((index) => traffic.uploadOnce(plan(index, survivor))));
  // The relay comes by once for many uploads.
  const nth = failpoint.startsWith('relay.') ? 1 : random.integer(1, UPLOADS);
  const server = await rig.site.start({ SKIFF_FAILPOINTS: `${failpoint}=kill@${nth}` });
  await Promise.all(
    indices.map(async (index) => {
      const attempt = await traffic.uploadOnce(plan(index, server));
      // Half of the partners try again at once, the others leave it at that.
      if (attempt?.outcome !== 'acknowledged' && index % 2 === 0) await traffic.uploadOnce(plan(index, survivor));
    }),
  );
  try {
    await server.process.ended(DEATH_TIMEOUT_MS);
    return true;
  } catch {
    await server.process.kill();
    return false;
  }
}
