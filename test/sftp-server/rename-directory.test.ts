import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { refusedWith } from '../support/sftp-test-client.ts';
import { TEST_STORES, type TestStore } from '../support/test-stores.ts';
import { type ServerRig, startServerRig } from './server-rig.ts';

const MIB = 1024 * 1024;

for (const [kind, makeStore] of Object.entries(TEST_STORES)) {
  describe(`OpenSSH renames a directory on ${kind}`, () => {
    let made: TestStore;
    let rig: ServerRig;
    before(async () => {
      made = await makeStore();
      // Otherwise nothing would end an emulator, and the test with it.
      rig = await startServerRig({ store: made.store }).catch(async (error: unknown) => {
        await made.dispose();
        throw error;
      });
    });
    after(async () => {
      await rig.stop();
      await made.dispose();
    });

    test('with files, empty directories and all that lies deeper: one event, nothing left at the old name', { timeout: 60_000 }, async () => {
      const content = randomBytes(3 * MIB);
      const local = join(rig.dir, 'up');
      await writeFile(local, content);
      const tree = ['mkdir /dir', `put ${local} /dir/a`, 'mkdir /dir/empty', 'mkdir /dir/sub', `put ${local} "/dir/sub/b %41#?"`, 'mkdir /dir/sub/deep'];
      assert.equal((await rig.client.sftp(rig.byKey, tree)).exitCode, 0);
      await rig.nextEvents(6);
      const renamed = await rig.client.sftp(rig.byKey, [
        'rename /dir /dir2',
        'ls -1 /',
        'ls -1 /dir2',
        'ls -1 /dir2/sub',
        `get "/dir2/sub/b %41#?" ${local}.back`,
      ]);
      assert.equal(renamed.exitCode, 0, renamed.stderr);
      const listed = renamed.stdout.split('\n').filter((line) => line.startsWith('/'));
      assert.deepEqual(listed.toSorted(), ['/dir2', '/dir2/a', '/dir2/empty', '/dir2/sub', '/dir2/sub/b %41#?', '/dir2/sub/deep']);
      assert.ok((await readFile(`${local}.back`)).equals(content));
      assert.equal(await rig.stored('/dir'), undefined);
      const [event] = await rig.nextEvents(1);
      assert.deepEqual([event?.type, event?.data.sourcePath, event?.data.path], ['dev.skiff.directory.renamed', '/dir', '/dir2']);
      assert.equal(event?.data.blob.name, 'ann/dir2');
      assert.equal(event.id, `skf-${event.data.operationId}`);
    });

    test('over an empty directory, but over no file and no directory that holds something', { timeout: 60_000 }, async () => {
      const local = join(rig.dir, 'x');
      await writeFile(local, 'x');
      const prepare = ['mkdir /from', `put ${local} /from/f`, 'mkdir /empty', 'mkdir /full', `put ${local} /full/f`, `put ${local} /file`];
      assert.equal((await rig.client.sftp(rig.byKey, prepare)).exitCode, 0);
      await rig.nextEvents(6);
      for (const target of ['/full', '/file', '/from/inside', '/']) {
        const refused = await rig.client.sftp(rig.byKey, [`rename /from ${target}`]);
        assert.notEqual(refused.exitCode, 0, target);
      }
      assert.notEqual((await rig.client.sftp(rig.byKey, ['rename /full/f/x /y', 'rename /none /y'])).exitCode, 0);
      // SSH_FXP_RENAME never replaces.
      await assert.rejects((await rig.connect()).rename('/from', '/empty'), refusedWith(/exists/));
      const done = await rig.client.sftp(rig.byKey, ['rename /from /empty', 'ls -1 /empty']);
      assert.equal(done.exitCode, 0, done.stderr);
      assert.match(done.stdout, /\/empty\/f/);
      assert.equal((await rig.nextEvents(1))[0]?.type, 'dev.skiff.directory.renamed');
    });
  });
}
