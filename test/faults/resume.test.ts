import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SftpTestClient } from '../support/sftp-test-client.ts';
import { collect, settle } from './collect.ts';
import { type FaultRig, startFaultRig } from './fault-rig.ts';

const MIB = 1024 * 1024;
/** More than the blocks that can be under way beside the one at which the server dies. */
const FILE_BYTES = 48 * MIB + 13;
const KILLED_AT_BLOCK = 6;

let rig: FaultRig;
before(async () => {
  rig = await startFaultRig();
});
after(() => rig.stop());

const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');

for (const { kind, overwrite } of [
  { kind: 'a new file', overwrite: false },
  { kind: 'an overwrite', overwrite: true },
]) {
  test(`OpenSSH resumes ${kind} on another server after kill -9, byte for byte, with exactly one event`, async (t) => {
    const directory = overwrite ? 'resume-over' : 'resume-new';
    const path = `/${directory}/file`;
    const local = join(rig.dir, directory);
    const content = randomBytes(FILE_BYTES);
    await writeFile(local, content);
    const survivor = await rig.site.start();
    const reader = await SftpTestClient.connect(survivor.byKey);
    const old = randomBytes(3 * MIB);
    if (overwrite) await reader.put(path, old);
    const victim = await rig.site.start({ SKIFF_FAILPOINTS: `upload.staged=kill@${KILLED_AT_BLOCK}` });
    const cut = await rig.client.sftp(victim.byKey, [`put ${local} ${path}`]);
    assert.notEqual(cut.exitCode, 0);
    await victim.process.ended(5_000);
    const shown = (await reader.sizeOf(path)) ?? 0;
    t.diagnostic(`${shown} of ${FILE_BYTES} bytes were staged`);
    assert.ok(shown >= MIB && shown < FILE_BYTES, 'the user sees the length to resume from');
    assert.equal((await reader.list(`/${directory}`).catch(() => new Map<string, number>())).get('file'), overwrite ? shown : undefined);
    if (overwrite) assert.equal(sha256(await reader.get(path)), sha256(old), 'reads see the committed version only');
    else await assert.rejects(reader.get(path));
    const resumed = await rig.client.sftp(survivor.byKey, [`reput ${local} ${path}`, `get ${path} ${local}.back`]);
    assert.equal(resumed.exitCode, 0, resumed.stderr);
    assert.equal(sha256(await readFile(`${local}.back`)), sha256(content));
    await settle(rig, 60_000);
    const { arrivals } = await collect(rig, `ann/${directory}`, { attempts: [] });
    const ids = new Set(arrivals.map((arrival) => arrival.id));
    assert.equal(ids.size, overwrite ? 2 : 1);
    reader.end();
    await survivor.process.stop();
  });
}
