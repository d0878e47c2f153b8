import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BlobName } from '@skiff/model/virtual-path';
import { eventually } from '../support/eventually.ts';
import { makeRunnable, PREVIOUS_COMMIT, unpackPrevious } from '../support/previous-version.ts';
import type { ServerProcess } from '../support/sftp-server-process.ts';
import { RESUME_FLAGS, SftpStatusError, SftpTestClient } from '../support/sftp-test-client.ts';
import { settle } from './collect.ts';
import { type FaultRig, startFaultRig } from './fault-rig.ts';

const MIB = 1024 * 1024;
/** Longer than a lease and a round of the sweeper. */
const LEASE_AND_MORE_MS = 22_000;
const SETTLE_MS = 90_000;
const TAKEOVER_MS = 30_000;
const FILES = 24;

let rig: FaultRig;
let previousMain: string | undefined;
before(async () => {
  rig = await startFaultRig();
  const checkout = join(rig.dir, 'previous');
  if (await unpackPrevious(checkout)) previousMain = await makeRunnable(checkout);
});
after(() => rig.stop());

type Events = readonly { readonly id: string; readonly type: string; readonly blob: string }[];

function eventsBelow(directory: string): Events {
  const seen = new Map<string, Events[number]>();
  for (const { body } of rig.inbox.received) {
    const { id, type, data } = JSON.parse(body);
    const blob = String(data.blob?.name ?? '');
    if (blob.startsWith(`ann/${directory}`)) seen.set(id, { id, type, blob });
  }
  return [...seen.values()];
}

/** On the schema that this version has migrated to. */
async function startPrevious(): Promise<ServerProcess> {
  assert.ok(previousMain !== undefined);
  return rig.site.start({}, previousMain);
}

describe('beside servers of the version before, on the migrated schema,', () => {
  it('uploads, locks and interrupted uploads are one another’s', async (t) => {
    if (previousMain === undefined) return t.skip(`this clone lacks commit ${PREVIOUS_COMMIT}`);
    const servers = [await rig.site.start(), await startPrevious()] as const;
    let expected = 0;
    for (const [one, other] of [servers, [servers[1], servers[0]] as const]) {
      const here = await SftpTestClient.connect(one.byKey);
      const there = await SftpTestClient.connect(other.byKey);
      const name = (what: string) => `/mixed/${what}-${expected}`;
      for (const size of [0, 20_000, 3 * MIB + 5]) {
        const content = randomBytes(size);
        await here.put(name('plain'), content);
        assert.ok(content.equals(await there.get(name('plain'))));
        expected += 1;
      }
      // A dropped connection here, the rest there.
      const content = randomBytes(9 * MIB + 7);
      const dropped = await SftpTestClient.connect(one.byKey);
      await dropped.write(await dropped.open(name('resumed'), 'w'), content.subarray(0, 6 * MIB));
      dropped.destroy();
      const staged = await eventually('a length to resume from', async () => (await there.sizeOf(name('resumed'))) || undefined, TAKEOVER_MS);
      assert.ok(staged >= MIB);
      const handle = await eventually('a handle of the interrupted file', () => there.open(name('resumed'), RESUME_FLAGS).catch(refused), TAKEOVER_MS);
      await there.write(handle, content.subarray(staged), staged);
      await there.close(handle);
      assert.ok(content.equals(await here.get(name('resumed'))));
      expected += 1;
      here.end();
      there.end();
    }
    await settle(rig, SETTLE_MS);
    assert.equal(eventsBelow('mixed').length, expected);
    for (const { process } of servers) await process.stop();
  });

  it('a directory rename whose server was killed is left alone by them, and finished by the next of this version', async (t) => {
    if (previousMain === undefined) return t.skip(`this clone lacks commit ${PREVIOUS_COMMIT}`);
    const victim = await rig.site.start({ SKIFF_FAILPOINTS: 'renamedir.copied=kill@6' });
    const witness = await startPrevious();
    const mover = await SftpTestClient.connect(victim.byKey);
    const contents = new Map(Array.from({ length: FILES }, (_, index) => [`file-${index}`, randomBytes(1_000 + index)]));
    await mover.makeDirectory('/from');
    for (const [name, content] of contents) await mover.put(`/from/${name}`, content);
    await assert.rejects(mover.rename('/from', '/to'));
    await victim.process.ended(10_000);
    const client = await SftpTestClient.connect(witness.byKey);
    await client.put('/elsewhere', randomBytes(10));
    for (const path of ['/from/file-3', '/from/new', '/to/new']) await assert.rejects(client.put(path, randomBytes(10)), SftpStatusError, path);
    await sleep(LEASE_AND_MORE_MS);
    for (const path of ['/from/file-3', '/to/new']) await assert.rejects(client.put(path, randomBytes(10)), SftpStatusError, path);
    for (const name of contents.keys()) assert.ok((await standing(`ann/from/${name}`)) || (await standing(`ann/to/${name}`)), name);
    assert.deepEqual(eventsBelow('to'), []);

    const successor = await rig.site.start();
    await settle(rig, SETTLE_MS);
    const reader = await SftpTestClient.connect(successor.byKey);
    for (const [name, content] of contents) {
      assert.ok(content.equals(await client.get(`/to/${name}`)), name);
      assert.ok(content.equals(await reader.get(`/to/${name}`)), name);
      assert.ok(!(await standing(`ann/from/${name}`)), name);
    }
    assert.deepEqual(
      eventsBelow('to').map(({ type }) => type),
      ['dev.skiff.directory.renamed'],
    );
    await client.put('/to/new', randomBytes(10));
    for (const one of [mover, client, reader]) one.end();
    for (const { process } of [witness, successor]) await process.stop();
  });
});

async function standing(blob: string): Promise<boolean> {
  return (await rig.blobs.stat(blob as BlobName, AbortSignal.timeout(10_000))) !== undefined;
}

/** The server says no; anything else is another matter. */
function refused(error: unknown): undefined {
  if (!(error instanceof SftpStatusError)) throw error;
  return undefined;
}
