import { randomBytes } from 'node:crypto';
import { parseFileEvent } from '@skiff/model/parse-file-event';
import type { BlobName } from '@skiff/model/virtual-path';
import { SftpTestClient } from '../../support/sftp-test-client.ts';
import { settle } from '../collect.ts';
import type { Scenario, ScenarioContext } from './scenario.ts';

const CASES_PER_POINT = 3;
const LONG_CASES_PER_POINT = 20;
const RECOVERY_LIMIT_S = 60;
const DEATH_TIMEOUT_MS = 5_000;

const POINTS = ['rename.intent', 'rename.copied', 'rename.sourceRemoved', 'remove.intent', 'remove.done', 'mkdir.intent', 'rmdir.intent'] as const;

/** kill -9 while a name is being changed: afterwards it has happened, with its event, or it has not, without one. */
export const nameChanges: Scenario = {
  name: 'kill -9 of name changes',
  async run(context) {
    const { rig, checks, progress, long } = context;
    const survivor = await rig.site.start();
    const client = await SftpTestClient.connect(survivor.byKey);
    const problems: string[] = [];
    let killed = 0;
    for (const failpoint of POINTS) {
      for (let round = 0; round < (long ? LONG_CASES_PER_POINT : CASES_PER_POINT); round++) {
        const path = `/names/${failpoint}-${round}`;
        const verb = failpoint.split('.')[0] ?? '';
        if (verb === 'rename' || verb === 'remove') await client.put(path, randomBytes(500));
        if (verb === 'rmdir') await client.makeDirectory(path);
        const server = await rig.site.start({ SKIFF_FAILPOINTS: `${failpoint}=kill` });
        const doomed = await SftpTestClient.connect(server.byKey);
        await change(doomed, verb, path).catch(() => undefined);
        doomed.destroy();
        await server.process.ended(DEATH_TIMEOUT_MS).then(
          () => killed++,
          () => problems.push(`${failpoint} was not reached`),
        );
        await server.process.kill();
      }
      progress(failpoint);
    }
    checks.add('name changes: servers killed', killed, 'servers', '>= 20');
    checks.add('name changes: settled after the last fault', (await settle(rig, 3 * RECOVERY_LIMIT_S * 1_000)) / 1000, 's', `<= ${RECOVERY_LIMIT_S}`);
    problems.push(...(await verify(context, long ? LONG_CASES_PER_POINT : CASES_PER_POINT)));
    for (const problem of problems.slice(0, 10)) progress(`  ✘ ${problem}`);
    checks.add('name changes: half done, or without their event, or with a false one', problems.length, 'cases', '== 0');
    client.end();
    await survivor.process.stop();
  },
};

function change(client: SftpTestClient, verb: string, path: string): Promise<void> {
  switch (verb) {
    case 'rename':
      return client.rename(path, `${path}.moved`);
    case 'remove':
      return client.remove(path);
    case 'mkdir':
      return client.makeDirectory(path);
    case 'rmdir':
      return client.removeDirectory(path);
    default:
      throw new RangeError(verb);
  }
}

const TYPES: Readonly<Record<string, string>> = {
  rename: 'dev.skiff.file.renamed',
  remove: 'dev.skiff.file.removed',
  mkdir: 'dev.skiff.directory.created',
  rmdir: 'dev.skiff.directory.removed',
};

async function verify({ rig }: ScenarioContext, rounds: number): Promise<readonly string[]> {
  const events = rig.inbox.received.map((received) => parseFileEvent(JSON.parse(received.body))).filter((event) => event !== undefined);
  const there = async (path: string) => (await rig.blobs.stat(`ann${path}` as BlobName, AbortSignal.timeout(10_000))) !== undefined;
  const problems: string[] = [];
  for (const failpoint of POINTS) {
    const verb = failpoint.split('.')[0] ?? '';
    for (let round = 0; round < rounds; round++) {
      const path = `/names/${failpoint}-${round}`;
      const [before, after] = [await there(path), await there(`${path}.moved`)];
      const happened = verb === 'rename' ? after : verb === 'mkdir' ? before : !before;
      if (verb === 'rename' && before === after) problems.push(`${path}: ${before ? 'both names' : 'neither name'}`);
      const target = verb === 'rename' ? `${path}.moved` : path;
      const ids = new Set(events.filter((event) => event.type === TYPES[verb] && event.data.path === target).map((event) => event.id));
      // What mkdir made for rmdir has its own type; each change happens at most once.
      if (ids.size !== (happened ? 1 : 0)) problems.push(`${path}: ${happened ? 'happened' : 'did not happen'}, ${ids.size} events`);
    }
  }
  return problems;
}
