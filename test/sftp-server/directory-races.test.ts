import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SftpServer } from '@skiff/sftp-server/sftp-server';
import { refusedWith } from '../support/sftp-test-client.ts';
import { type ServerRig, startServerRig } from './server-rig.ts';

const MIB = 1024 * 1024;

let rig: ServerRig;
let second: SftpServer;
before(async () => {
  rig = await startServerRig();
  second = await rig.startSecond();
});
after(() => rig.stop());

test('a race with uploads loses and doubles no acknowledged file, and each change has its one event', { timeout: 120_000 }, async () => {
  const [mover, writer] = [await rig.connect(), await rig.connect(second)];
  const outcomes = { renamed: 0, uploaded: 0 };
  for (let round = 0; round < 30; round++) {
    const [from, to] = [`/race-${round}`, `/raced-${round}`];
    await rig.placeFile(`${from}/before`);
    const content = randomBytes(round % 3 === 0 ? 2 * MIB : 100);
    const [first, then] = round % 2 === 0 ? [0, round % 10] : [(3 * round) % 50, 0];
    const [renamed, uploaded] = await Promise.allSettled([
      sleep(first).then(() => mover.rename(from, to)),
      sleep(then).then(() => writer.put(`${from}/file`, content)),
    ]);
    const there = await Promise.all([from, to].map((directory) => rig.stored(`${directory}/file`)));
    const count = there.filter((file) => file !== undefined).length;
    assert.equal(count, uploaded.status === 'fulfilled' ? 1 : 0, `round ${round}: ${uploaded.status}, found ${count} times`);
    if (uploaded.status === 'fulfilled') assert.deepEqual(await writer.get(`${there[0] === undefined ? to : from}/file`), content);
    const before = await Promise.all([from, to].map((directory) => rig.stored(`${directory}/before`)));
    assert.deepEqual(
      before.map((file) => file !== undefined),
      renamed.status === 'fulfilled' ? [false, true] : [true, false],
    );
    for (const result of [renamed, uploaded]) if (result.status === 'rejected') assert.ok(refusedWith(/ann/)(result.reason), String(result.reason));
    if (renamed.status === 'fulfilled') outcomes.renamed++;
    if (uploaded.status === 'fulfilled') outcomes.uploaded++;
    const types = (await rig.nextEvents([renamed, uploaded].filter((result) => result.status === 'fulfilled').length)).map((event) => event.type);
    assert.equal(types.includes('dev.skiff.directory.renamed'), renamed.status === 'fulfilled');
  }
  assert.ok(outcomes.renamed > 0 && outcomes.uploaded > 0, JSON.stringify(outcomes));
});

test('a race of rmdir with uploads below loses no acknowledged file', { timeout: 120_000 }, async () => {
  const [remover, writer] = [await rig.connect(), await rig.connect(second)];
  const outcomes = { removed: 0, uploaded: 0 };
  for (let round = 0; round < 30; round++) {
    const path = `/rmdir-${round}`;
    await remover.makeDirectory(path);
    await rig.nextEvents(1);
    const content = randomBytes(round % 3 === 0 ? 2 * MIB : 100);
    const [removed, uploaded] = await Promise.allSettled([remover.removeDirectory(path), sleep(round % 10).then(() => writer.put(`${path}/file`, content))]);
    const file = await rig.stored(`${path}/file`);
    if (uploaded.status === 'fulfilled') assert.deepEqual(await writer.get(`${path}/file`), content, `round ${round}`);
    else assert.equal(file, undefined);
    // Removed before the upload began: the directory exists again through the file.
    if (removed.status === 'rejected') assert.notEqual(await rig.stored(path), undefined);
    if (removed.status === 'fulfilled') outcomes.removed++;
    if (uploaded.status === 'fulfilled') outcomes.uploaded++;
    await rig.nextEvents([removed, uploaded].filter((result) => result.status === 'fulfilled').length);
  }
  assert.ok(outcomes.removed > 0 && outcomes.uploaded > 0, JSON.stringify(outcomes));
});

test('two renames of directories that contain each other do not both happen, and nothing is lost', async () => {
  const [outer, inner] = [await rig.connect(), await rig.connect(second)];
  for (let round = 0; round < 10; round++) {
    const [path, to] = [`/outer-${round}`, `/outer-new-${round}`];
    for (const name of ['/f', '/inner/f']) await rig.placeFile(path + name);
    const results = await Promise.allSettled([outer.rename(path, to), inner.rename(`${path}/inner`, `/inner-new-${round}`)]);
    const places = [`${path}/inner/f`, `${to}/inner/f`, `/inner-new-${round}/f`];
    const found = (await Promise.all(places.map(rig.stored))).filter((file) => file !== undefined);
    assert.equal(found.length, 1, `round ${round}`);
    await rig.nextEvents(results.filter((result) => result.status === 'fulfilled').length);
  }
});
