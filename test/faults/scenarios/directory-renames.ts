import { parseFileEvent } from '@skiff/model/parse-file-event';
import type { BlobName } from '@skiff/model/virtual-path';
import { inLanes } from '../../support/lanes.ts';
import type { Random } from '../../support/random.ts';
import type { ServerProcess } from '../../support/sftp-server-process.ts';
import { SftpStatusError, SftpTestClient } from '../../support/sftp-test-client.ts';
import { readVersion } from '../collect.ts';
import { contentOf } from '../content.ts';
import type { FaultRig } from '../fault-rig.ts';
import { type FoundFile, type RenamedTree, renameProblems } from '../renamed-tree.ts';
import { Traffic } from '../traffic.ts';
import { judge, type Scenario } from './scenario.ts';

const LANES = 4;
const ROUNDS = 2;
const LONG_ROUNDS = 20;
const FILES = 24;
const UPLOADS_BESIDE = 10;
const DEATH_TIMEOUT_MS = 15_000;
const STORE_TIMEOUT_MS = 30_000;

/** Where the renaming server is killed, and how often it comes by there before its rename is recorded. */
const RENAME_POINTS = [
  { failpoint: 'renamedir.intent', times: 1 },
  { failpoint: 'renamedir.journalled', times: 1 },
  { failpoint: 'renamedir.copied', times: FILES },
  { failpoint: 'renamedir.sourceRemoved', times: FILES },
  { failpoint: 'renamedir.markerMoved', times: 3 },
  { failpoint: 'renamedir.moved', times: 1 },
  { failpoint: 'upload.committed', times: 1 },
  { failpoint: 'relay.sent', times: 1 },
] as const;

/** kill -9 of directory renames while files are uploaded elsewhere and below: no file lost, doubled or left half way. */
export const directoryRenames: Scenario = {
  name: 'kill -9 of directory renames',
  async run(context) {
    const { rig, random, checks, progress, long } = context;
    const survivor = await rig.site.start();
    const traffic = new Traffic(random);
    const trees: RenamedTree[] = [];
    const cases = Array.from({ length: long ? LONG_ROUNDS : ROUNDS }, (_, round) => RENAME_POINTS.map((point) => ({ ...point, round }))).flat();
    await inLanes(LANES, cases, async ({ failpoint, times, round }) => {
      const nth = random.integer(1, times);
      const path = `/dirs/${failpoint}-${round}`;
      const beside = (async () => {
        for (let index = 0; index < UPLOADS_BESIDE; index++) {
          await traffic.uploadOnce({ path: `/beside/${failpoint}-${round}-${index}`, sizeBytes: 5_000 + index, login: survivor.byKey, home: 'ann' });
        }
      })();
      trees.push(await killRename({ rig, random, survivor, path, failpoint: `${failpoint}=kill@${nth}` }));
      await beside;
      progress(`${trees.length}/${cases.length} ${failpoint}@${nth}`);
    });
    await judge(context, { name: 'directory renames', directory: 'ann/beside', traffic });
    const problems: string[] = [];
    for (const tree of trees) problems.push(...(await problemsOf(rig, tree)));
    for (const problem of problems.slice(0, 10)) progress(`  ✘ ${problem}`);
    checks.add('directory renames: servers killed', trees.length, 'servers', `== ${cases.length}`);
    checks.add(
      'directory renames: files uploaded below while they lasted',
      trees.reduce((sum, tree) => sum + tree.late.size, 0),
      'files',
    );
    checks.add('directory renames: files lost, doubled or left behind; events lost or false', problems.length, 'cases', '== 0');
    await survivor.process.stop();
  },
};

export interface KilledRename {
  readonly rig: FaultRig;
  readonly random: Random;
  readonly survivor: ServerProcess;
  readonly path: string;
  /** As in `SKIFF_FAILPOINTS`. */
  readonly failpoint: string;
}

/** Fills a directory, has a server rename it that dies on the way, and goes on uploading below it. @throws {Error} when it does not die. */
export async function killRename({ rig, random, survivor, path, failpoint }: KilledRename): Promise<RenamedTree> {
  const files = new Map<string, string>();
  const late = new Map<string, string>();
  const writer = await SftpTestClient.connect(survivor.byKey);
  const victim = await rig.site.start({ SKIFF_FAILPOINTS: failpoint });
  const doomed = await SftpTestClient.connect(victim.byKey);
  const put = async (known: Map<string, string>, name: string, sizeBytes: number) => {
    const id = random.hex(16);
    await writer.put(`${path}/${name}`, contentOf(id, sizeBytes));
    known.set(name, id);
  };
  try {
    for (const name of ['', '/sub', '/empty']) await writer.makeDirectory(path + name);
    for (let index = 0; index < FILES; index++) await put(files, index % 3 === 0 ? `sub/${index}` : `${index}`, index === 1 ? 2_000_000 : 1_000 + index);
    const target = `${path}.moved`;
    const renaming = doomed.rename(path, target).then(
      () => 'acknowledged' as const,
      (error: unknown) => (error instanceof SftpStatusError ? 'refused' : 'unknown'),
    );
    for (let index = 0; index < 5; index++) {
      await put(late, `late-${index}`, 1_000).catch((error: unknown) => {
        if (!(error instanceof SftpStatusError)) throw error;
      });
    }
    const outcome = await renaming;
    await victim.process.ended(DEATH_TIMEOUT_MS);
    return { from: path, to: target, files, late, outcome };
  } finally {
    writer.end();
    doomed.destroy();
    await victim.process.kill();
  }
}

/** Call it when all has settled. */
export async function problemsOf(rig: FaultRig, tree: RenamedTree): Promise<readonly string[]> {
  const found = [...(await filesBelow(rig, tree.from, 'from')), ...(await filesBelow(rig, tree.to, 'to'))];
  const events = rig.inbox.received.map((received) => parseFileEvent(JSON.parse(received.body))).filter((event) => event !== undefined);
  const ids = events.filter((event) => event.type === 'dev.skiff.directory.renamed' && event.data.sourcePath === tree.from).map((event) => event.id);
  const empty = await rig.blobs.stat(`ann${ids.length > 0 ? tree.to : tree.from}/empty` as BlobName, AbortSignal.timeout(STORE_TIMEOUT_MS));
  return [...renameProblems(tree, found, ids), ...(empty?.isDirectory === true ? [] : [`${tree.from}: its empty directory is lost`])];
}

async function filesBelow(rig: FaultRig, path: string, name: FoundFile['name'], below = ''): Promise<readonly FoundFile[]> {
  const found: FoundFile[] = [];
  for await (const page of rig.blobs.list(`ann${path}${below}` as BlobName, AbortSignal.timeout(STORE_TIMEOUT_MS))) {
    for (const entry of page) {
      const inside = `${below}/${entry.name}`;
      if (entry.isDirectory) found.push(...(await filesBelow(rig, path, name, inside)));
      else found.push({ name, path: inside.slice(1), content: (await readVersion(rig, `ann${path}${inside}`))?.attempt });
    }
  }
  return found;
}
