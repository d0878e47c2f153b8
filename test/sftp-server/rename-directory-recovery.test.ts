import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { instance, newOperationId } from '@skiff/database/testing/sample-operation';
import { lockKeyOf, type OperationId, UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { createMemoryStore } from '@skiff/storage/memory';
import { eventually } from '../support/eventually.ts';
import { refusedWith } from '../support/sftp-test-client.ts';
import { HeldCopies } from './held-copies.ts';
import { type ServerRig, startServerRig } from './server-rig.ts';

const copies = new HeldCopies(createMemoryStore());
let rig: ServerRig;
before(async () => {
  rig = await startServerRig({ store: copies.store });
});
after(() => rig.stop());

/** The row of a rename whose process is gone, `moving` or not yet. */
async function leftBehind(from: string, to: string, moving: boolean) {
  const id = newOperationId();
  const [blobName, targetBlobName] = [`ann${from}` as BlobName, `ann${to}` as BlobName];
  const { identity, container } = rig.store;
  const event = {
    specversion: '1.0' as const,
    id: `skf-${id}`,
    source: '/skiff/default/test',
    type: 'dev.skiff.directory.renamed',
    subject: targetBlobName,
    time: new Date().toISOString(),
    datacontenttype: 'application/json' as const,
    data: {
      operationId: id,
      endpoint: { namespace: 'default', name: 'test' },
      username: 'ann',
      path: to,
      sourcePath: from,
      blob: { container, name: targetBlobName, url: rig.store.urlOf(targetBlobName) },
    },
  };
  const lockKeys = [blobName, targetBlobName].map((name) => lockKeyOf(identity, name));
  const subject = { id, kind: 'renamedir' as const, endpointId: rig.endpointId, username: 'ann', storage: identity, blobName, targetBlobName, lockKeys };
  const plan = { blocks: [], sizeBytes: 0, priorEtag: null, metadata: {}, event };
  const begun = await rig.log.begin({ ...subject, owner: instance('gone'), priorEtag: null, plan });
  assert.equal(begun.kind, 'begun');
  const ref = { id, epoch: 1 };
  if (moving) await rig.log.advanceRename(ref, 0);
  return { id, park: () => rig.log.park(ref) };
}

/** Its last state. */
function ended(id: OperationId): Promise<string> {
  return eventually(
    `the end of ${id}`,
    async () => {
      const row = await rig.log.find(id);
      return (row?.state === 'published' || row?.state === 'aborted') && row.state;
    },
    30_000,
  );
}

test('recovery finishes one that is half done: copied files are recognised, changed ones copied again, the rest is moved', async () => {
  for (const name of ['copied', 'changed', 'waiting', 'sub/waiting']) await rig.placeFile(`/half/${name}`);
  const { id, park } = await leftBehind('/half', '/whole', true);
  for (const name of ['copied', 'changed']) {
    const etag = (await rig.stored(`/half/${name}`))?.etag ?? '';
    const metadata = { from: 'outside', [UPLOAD_METADATA_KEY]: id, skiff_source: etag };
    await rig.store.copy({ name: `ann/half/${name}` as BlobName, etag }, `ann/whole/${name}` as BlobName, { metadata, signal: AbortSignal.timeout(10_000) });
  }
  await rig.placeFile('/half/changed', 'changed since');
  await park();
  assert.equal(await ended(id), 'published');
  const client = await rig.connect();
  assert.equal(await rig.stored('/half'), undefined);
  assert.deepEqual([...(await client.list('/whole')).keys()].sort(), ['changed', 'copied', 'sub', 'waiting']);
  assert.equal((await client.get('/whole/changed')).toString(), 'changed since');
  assert.equal((await client.get('/whole/sub/waiting')).toString(), '/half/sub/waiting');
  assert.equal((await rig.stored('/whole/copied'))?.metadata.from, 'outside');
  assert.equal((await rig.nextEvents(1))[0]?.id, `skf-${id}`);
});

test('recovery gives one up that had not begun to move, and nothing has happened', async () => {
  await rig.placeFile('/unmoved/f');
  const { id, park } = await leftBehind('/unmoved', '/never', false);
  await park();
  assert.equal(await ended(id), 'aborted');
  assert.deepEqual([(await rig.stored('/unmoved/f')) !== undefined, await rig.stored('/never')], [true, undefined]);
  await rig.nextEvents(0);
});

// Last: the first server's lease is gone after it.
test('a server that has given its lease back moves nothing any more, whatever it was about to do', async () => {
  const second = await rig.startSecond();
  await rig.placeFile('/given/f', 'old');
  const release = copies.hold();
  const told = assert.rejects((await rig.connect()).rename('/given', '/taken'), refusedWith(/not confirmed/));
  await copies.untilOneWaits();
  copies.letPass();
  const row = await rig.operationOn('/given');
  assert.ok(row !== undefined);
  await rig.lease.release();
  assert.equal(await ended(row.id), 'published', 'the other server finishes it');
  await rig.nextEvents(1);
  await rig.placeFile('/given/f', 'new');
  release();
  await told;
  const client = await rig.connect(second);
  assert.deepEqual([(await client.get('/given/f')).toString(), (await client.get('/taken/f')).toString()], ['new', 'old']);
});
