import type { Login } from '../../support/openssh-client.ts';
import { SftpTestClient } from '../../support/sftp-test-client.ts';
import { readVersion } from '../collect.ts';
import type { Version } from '../history.ts';
import { Traffic } from '../traffic.ts';
import { judge, type Scenario } from './scenario.ts';

const MIB = 1024 * 1024;
const PAIRS = 200;
const LONG_PAIRS = 1_000;
const LANES = 8;

/** Two writers on one name at the same time, at two servers: the same user, and two users of one home. */
export const twoWriters: Scenario = {
  name: 'two writers',
  async run(context) {
    const { rig, random, checks, progress, long } = context;
    await rig.site.putUser({ username: 'bob', name: 'bob', uid: 'uid-bob' });
    const traffic = new Traffic(random);
    const readings: Version[] = [];
    const [one, two] = await Promise.all([rig.site.start(), rig.site.start()]);
    const pairs = long ? LONG_PAIRS : PAIRS;
    let next = 0;
    const lane = async () => {
      const bob: Login = { ...two.byKey, username: 'bob' };
      const clients = await Promise.all([one.byKey, two.byKey, bob].map((login) => SftpTestClient.connect(login)));
      const [first, second, other] = clients;
      if (first === undefined || second === undefined || other === undefined) throw new Error('no clients');
      for (let pair = next++; pair < pairs; pair = next++) {
        const path = `/pairs/${pair}`;
        const sizeBytes = pair % 2 === 0 ? 5_000 : 1.5 * MIB;
        const rival = pair % 4 < 2 ? { client: second, login: two.byKey } : { client: other, login: bob };
        let running = true;
        const reader = (async () => {
          while (running) {
            const version = await readVersion(rig, `ann${path}`);
            if (version !== undefined) readings.push(version);
          }
        })();
        await Promise.all([
          traffic.upload(first, { path, sizeBytes, login: one.byKey, home: 'ann' }),
          traffic.upload(rival.client, { path, sizeBytes: sizeBytes + 1, login: rival.login, home: 'ann' }),
        ]);
        running = false;
        await reader;
        if (pair % 50 === 0) progress(`pair ${pair} of ${pairs}`);
      }
      for (const client of clients) client.end();
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    checks.add('two writers: refused or displaced, with the reason', traffic.attempts.filter((attempt) => attempt.outcome === 'refused').length, 'uploads');
    checks.add('two writers: readings of whole versions', readings.length, 'readings');
    await judge(context, { name: 'two writers', directory: 'ann/pairs', traffic, readings });
    await Promise.all([one.process.stop(), two.process.stop()]);
  },
};
