import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerProcess } from '../../support/sftp-server-process.ts';
import { SftpTestClient } from '../../support/sftp-test-client.ts';
import { Traffic } from '../traffic.ts';
import { judge, type Scenario, type ScenarioContext } from './scenario.ts';

const MIB = 1024 * 1024;
const UPLOADS = 10_000;
const CLIENTS = 50;
const SERVERS = 3;
const KILL_EVERY_MS = 2_000;
const KILLING_MS = 120_000;

/** 10,000 uploads from 50 clients through 3 servers, one of which is killed every two seconds for two minutes. */
export const storm: Scenario = {
  name: 'storm',
  async run(context) {
    const { rig, random, checks, progress } = context;
    const traffic = new Traffic(random);
    const servers: (ServerProcess | undefined)[] = await Promise.all(Array.from({ length: SERVERS }, () => rig.site.start()));
    const startedAt = performance.now();
    let next = 0;
    let done = 0;
    const client = async (number: number) => {
      let connection: SftpTestClient | undefined;
      for (let index = next++; index < UPLOADS; index = next++) {
        const sizeBytes = index % 50 === 0 ? 1.5 * MIB : random.integer(16, 20_000);
        for (let acknowledged = false; !acknowledged; ) {
          const running = servers.filter((one) => one !== undefined);
          if (running.length === 0) {
            await sleep(100);
            continue;
          }
          const server = random.pick(running);
          connection ??= await SftpTestClient.connect(server.byKey).catch(() => undefined);
          if (connection === undefined) {
            await sleep(100);
            continue;
          }
          const attempt = await traffic.upload(connection, { path: `/storm/${index}`, sizeBytes, login: server.byKey, home: 'ann' });
          acknowledged = attempt.outcome === 'acknowledged';
          if (attempt.outcome === 'unknown') {
            connection.destroy();
            connection = undefined;
          } else if (!acknowledged) await sleep(500);
        }
        done++;
        if (done % 1_000 === 0) progress(`${done} of ${UPLOADS} after ${Math.round((performance.now() - startedAt) / 1000)} s (client ${number})`);
      }
      connection?.end();
    };
    const work = Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
    let finished = false;
    const killing = killOneAfterTheOther(context, servers, () => finished);
    await work;
    checks.add('storm: uploads a second, the kills included', UPLOADS / ((performance.now() - startedAt) / 1000), '1/s');
    finished = true;
    checks.add('storm: servers killed', await killing, 'servers', '>= 20');
    await judge(context, { name: 'storm', directory: 'ann/storm', traffic });
    for (const server of servers) await server?.process.stop();
  },
};

async function killOneAfterTheOther({ rig, random }: ScenarioContext, servers: (ServerProcess | undefined)[], finished: () => boolean): Promise<number> {
  const starting = new Set<Promise<void>>();
  let killed = 0;
  for (const end = performance.now() + KILLING_MS; performance.now() < end && !finished(); ) {
    await sleep(KILL_EVERY_MS);
    const running = servers.map((server, index) => ({ server, index })).filter(({ server }) => server !== undefined);
    if (running.length === 0) continue;
    const { server, index } = random.pick(running);
    servers[index] = undefined;
    await server?.process.kill();
    killed++;
    const start = rig.site.start().then((fresh) => {
      servers[index] = fresh;
    });
    starting.add(start);
    void start.finally(() => starting.delete(start));
  }
  await Promise.all(starting);
  return killed;
}
