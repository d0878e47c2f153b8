import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Random } from '../support/random.ts';
import { settle } from './collect.ts';
import { type FaultRig, startFaultRig } from './fault-rig.ts';
import type { RenamedTree } from './renamed-tree.ts';
import { killRename, problemsOf } from './scenarios/directory-renames.ts';

const RECOVERY_LIMIT_MS = 60_000;

let rig: FaultRig;
before(async () => {
  rig = await startFaultRig({ blobs: 'azurite' });
});
after(() => rig.stop());

test('kill -9 in the middle of a directory rename on Azurite: another server finishes it within 60 s, with one event', { timeout: 180_000 }, async (t) => {
  const survivor = await rig.site.start();
  const random = new Random(5);
  const trees: RenamedTree[] = [];
  // All wait for the same lease then.
  for (const failpoint of ['renamedir.intent=kill', 'renamedir.copied=kill@7', 'renamedir.sourceRemoved=kill@20', 'upload.committed=kill']) {
    trees.push(await killRename({ rig, random, survivor, path: `/dirs/${trees.length}`, failpoint }));
  }
  const settledMs = await settle(rig, 2 * RECOVERY_LIMIT_MS);
  t.diagnostic(`settled after ${Math.round(settledMs)} ms; below uploaded meanwhile: ${trees.map((tree) => tree.late.size).join(', ')}`);
  assert.ok(settledMs <= RECOVERY_LIMIT_MS);
  for (const tree of trees) assert.deepEqual(await problemsOf(rig, tree), []);
  await survivor.process.stop();
});
