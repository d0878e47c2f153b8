import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { instance, newOperationId, samplePlan } from '@skiff/database/testing/sample-operation';
import { eventSchema } from '@skiff/model/event-reference';
import { EVENT_TYPES } from '@skiff/model/event-types';
import { isFileEvent, type SkiffEvent } from '@skiff/model/skiff-event';
import { lockKeyOf } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { Compile } from 'typebox/compile';
import { eventually } from '../support/eventually.ts';
import { type ServerRig, startServerRig } from './server-rig.ts';

/** Longer than an event takes that should not come. */
const QUIET_MS = 500;

let rig: ServerRig;
before(async () => {
  rig = await startServerRig();
  await rig.putUser({});
});
after(() => rig.stop());

function select(eventTypes: readonly string[] | undefined): void {
  const { eventTypes: _, ...settings } = rig.settings;
  rig.server.updateSettings(eventTypes === undefined ? settings : { ...settings, eventTypes: [...eventTypes] });
}

async function sftp(...batch: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await rig.client.sftp(rig.byKey, batch);
  assert.equal(exitCode, 0, stderr);
}

async function put(path: string, content: string | Buffer): Promise<void> {
  const local = join(rig.dir, 'local');
  await writeFile(local, content);
  await sftp(`put ${local} ${path}`);
}

/** Exactly these types come, in any order. */
async function expectTypes(...types: readonly string[]): Promise<readonly SkiffEvent[]> {
  const events = await rig.nextSkiffEvents(types.length);
  await sleep(QUIET_MS);
  assert.deepEqual([...(await rig.nextSkiffEvents(0))], []);
  assert.deepEqual(events.map((event) => event.type).sort(), [...types].sort());
  return events;
}

beforeEach(() => select(undefined));

test('unless told otherwise an endpoint tells of changes, and of no download and no login', async () => {
  await put('/default', 'x');
  await sftp(`get /default ${join(rig.dir, 'back')}`, 'rename /default /renamed', 'rm /renamed', 'mkdir /dir', 'rename /dir /dir-2', 'rmdir /dir-2');
  await rig.client.sftp({ ...rig.byPassword, credential: { password: 'wrong' } }, ['ls']);
  await expectTypes(
    'dev.skiff.file.uploaded',
    'dev.skiff.file.renamed',
    'dev.skiff.file.removed',
    'dev.skiff.directory.created',
    'dev.skiff.directory.renamed',
    'dev.skiff.directory.removed',
  );
});

test('a whole download, a part of one, and an empty file each have their event, and a look at the attributes has none', async () => {
  select(['dev.skiff.file.downloaded']);
  const content = Buffer.alloc(3_000_000, 'abc');
  await put('/big', content);
  await put('/empty', '');
  const half = join(rig.dir, 'half');
  await writeFile(half, content.subarray(0, 2_000_000));
  await sftp(`get /big ${join(rig.dir, 'whole')}`, `reget /big ${half}`, `get /empty ${join(rig.dir, 'empty')}`, 'ls -l /');
  const events = (await expectTypes(...Array.from({ length: 3 }, () => 'dev.skiff.file.downloaded'))).filter(isFileEvent);
  const seen = events.map(({ subject, data }) => [subject, data.path, data.sizeBytes, data.bytesSent, data.complete]);
  assert.deepEqual(seen, [
    ['ann/big', '/big', 3_000_000, 3_000_000, true],
    ['ann/big', '/big', 3_000_000, 1_000_000, false],
    ['ann/empty', '/empty', 0, 0, true],
  ]);
  assert.ok(events.every(({ sequence, data }) => sequence === undefined && data.username === 'ann' && data.clientAddress === '127.0.0.1' && data.blob.etag));
  assert.equal(new Set(events.map((event) => event.id)).size, 3);
});

test('a download is complete when all bytes were sent in whatever order and the client closed it, and not when the connection broke off', async () => {
  select(['dev.skiff.file.downloaded']);
  await put('/parts', Buffer.alloc(60_000, 'x'));
  const client = await rig.connect();
  const shuffled = await client.open('/parts', 'r');
  for (const offset of [40_000, 0, 20_000, 20_000]) await client.read(shuffled, offset, 20_000);
  await client.close(shuffled);
  const [whole] = (await expectTypes('dev.skiff.file.downloaded')).filter(isFileEvent);
  assert.deepEqual([whole?.data.bytesSent, whole?.data.complete], [60_000, true]);
  const broken = await client.open('/parts', 'r');
  await client.read(broken, 0, 30_000);
  await client.read(broken, 30_000, 30_000);
  await client.close(await client.open('/parts', 'r'));
  client.destroy();
  const [lost] = (await expectTypes('dev.skiff.file.downloaded')).filter(isFileEvent);
  assert.deepEqual([lost?.data.bytesSent, lost?.data.complete], [60_000, false]);
});

test('recovery of an upload whose server died tells nobody either when its type is not selected', async () => {
  select(['dev.skiff.login.failed']);
  const id = newOperationId();
  const plan = samplePlan(id, '/orphan');
  const blobName = 'ann/orphan' as BlobName;
  const signal = AbortSignal.timeout(5_000);
  await rig.store.put(blobName, { parts: [Buffer.from('12345')], sizeBytes: 5 }, { metadata: plan.metadata, condition: { kind: 'absent' }, signal });
  const lockKeys = [lockKeyOf(rig.store.identity, blobName)];
  const common = { id, kind: 'upload', endpointId: rig.endpointId, username: 'ann', storage: rig.store.identity, blobName, lockKeys, priorEtag: null } as const;
  const begun = await rig.log.begin({ ...common, owner: instance('gone'), plan: { ...plan, blocks: [] } });
  assert.equal(begun.kind, 'begun');
  await rig.log.park({ id, epoch: begun.kind === 'begun' ? begun.epoch : 0 });
  await eventually('its recovery', async () => (await rig.log.find(id))?.state !== 'committing', 30_000);
  assert.equal((await rig.log.find(id))?.state, 'published');
  assert.equal(await rig.operationOn('/orphan'), undefined);
  await expectTypes();
});

test('a login, a wrong password, an unknown user and an unknown key each have their event, without the password', async () => {
  select(['dev.skiff.login.succeeded', 'dev.skiff.login.failed']);
  await sftp('ls');
  await rig.client.sftp({ ...rig.byPassword, credential: { password: 'sesame-open' } }, ['ls']);
  await rig.client.sftp({ ...rig.byPassword, username: 'nobody', credential: { password: 'sesame-open' } }, ['ls']);
  const other = await rig.client.generateKey('id_events');
  await rig.client.sftp({ ...rig.byKey, credential: { keyFile: other.keyFile } }, ['ls']);
  const failed = 'dev.skiff.login.failed';
  const events = await expectTypes('dev.skiff.login.succeeded', failed, failed, failed);
  const seen = events.map(({ data }) => ('method' in data ? [data.username, data.clientAddress, data.method, data.reason ?? data.credential] : data));
  assert.deepEqual(seen, [
    ['ann', '127.0.0.1', 'PublicKey', 'laptop'],
    ['ann', '127.0.0.1', 'Password', 'PasswordWrong'],
    ['nobody', '127.0.0.1', 'Password', 'UnknownUser'],
    ['ann', '127.0.0.1', 'PublicKey', 'KeyUnknown'],
  ]);
  assert.ok(!JSON.stringify(events).includes('sesame'));
});

test('a type that is not selected has no event and no row in the outbox, from the change of the setting on, and its lock is gone', async () => {
  select(['dev.skiff.file.removed']);
  await put('/quiet', 'x');
  await put('/quiet', 'y');
  assert.equal((await rig.log.outboxStatus(rig.endpointId)).waiting, 0);
  await sftp('rm /quiet');
  await expectTypes('dev.skiff.file.removed');
  select([]);
  await put('/quieter', 'x');
  await expectTypes();
  select(undefined);
  await put('/quieter', 'z');
  await expectTypes('dev.skiff.file.uploaded');
});

test('every event that a server emits is valid against the JSON Schema of its type, and all types are emitted', async () => {
  select(EVENT_TYPES);
  const schemas = new Map(EVENT_TYPES.map((type): [string, ReturnType<typeof Compile>] => [type, Compile(eventSchema(type))]));
  await put('/all', 'x');
  await sftp(`get /all ${join(rig.dir, 'all')}`, 'rename /all /all-2', 'rm /all-2', 'mkdir /all-3', 'rename /all-3 /all-4', 'rmdir /all-4');
  await rig.client.sftp({ ...rig.byPassword, credential: { password: 'wrong' } }, ['ls']);
  const events = await rig.nextSkiffEvents(EVENT_TYPES.length + 1);
  for (const event of events) {
    const errors = [...(schemas.get(event.type)?.Errors(event) ?? [])];
    assert.ok(schemas.get(event.type)?.Check(event), `${event.type}: ${JSON.stringify(errors)}`);
  }
  assert.deepEqual([...new Set(events.map((event) => event.type))].sort(), [...EVENT_TYPES].sort());
});
