import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OutboxStatus } from '@skiff/database/operation-log';
import { StoreError } from '@skiff/model/store-error';
import { eventually } from './testing/eventually.ts';
import { MemoryRows } from './testing/memory-rows.ts';
import { ENDPOINT, type RunningOperator, startTestOperator } from './testing/running-operator.ts';
import { temporaryFolder } from './testing/temporary-folder.ts';

const MAIN = { kind: 'SftpEndpoint', namespace: 'default', name: 'main' } as const;
const NOTHING: OutboxStatus = { waiting: 0, oldestAgeMs: 0, refused: 0 };

/** An outbox as a database would tell of it. */
function fakeOutbox() {
  const fake = {
    looks: 0,
    down: false,
    status: NOTHING,
    outbox: {
      outboxStatus: (): Promise<OutboxStatus> => {
        fake.looks += 1;
        return fake.down ? Promise.reject(new StoreError({ code: 'unavailable', message: 'away' })) : Promise.resolve(fake.status);
      },
    },
  };
  return fake;
}

test('an endpoint says that its events wait, in one message however long they do, and ends saying so when they have gone', async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  const fake = fakeOutbox();
  fake.status = { waiting: 3, oldestAgeMs: 59_000, refused: 0 };
  const events = ({ log }: RunningOperator) => log.lines.filter(({ message }) => message === 'resource event').map(({ fields }) => fields.reason);
  let told: unknown;
  {
    await using running = await startTestOperator({ folder: root.path, repository: rows, resyncMs: 30, outbox: fake.outbox });
    const delayed = () => running.source.status(MAIN)?.conditions?.find(({ type }) => type === 'EventsDelayed');
    await running.write('all.yaml', ENDPOINT);
    await eventually(() => assert.equal(running.conditions('SftpEndpoint', 'main').at(-1), 'Ready=True Ready'));
    assert.equal(delayed(), undefined);
    fake.status = { waiting: 3, oldestAgeMs: 60_001, refused: 1 };
    await eventually(() => assert.equal(delayed()?.reason, 'EventsWaiting'));
    told = delayed();
    assert.ok(running.conditions('SftpEndpoint', 'main').includes('Ready=True Ready'), 'files are stored all the same');
    const looks = fake.looks;
    fake.status = { waiting: 4_000, oldestAgeMs: 9_000_000, refused: 2 };
    await eventually(() => assert.ok(fake.looks > looks + 3));
    assert.deepEqual(delayed(), told, 'nothing to write while nothing changes but the age');
    assert.deepEqual(events(running), ['EventsWaiting']);
  }
  fake.down = true;
  await using next = await startTestOperator({ folder: root.path, repository: rows, resyncMs: 30, outbox: fake.outbox });
  const delayed = () => next.source.status(MAIN)?.conditions?.find(({ type }) => type === 'EventsDelayed');
  const looks = fake.looks;
  await eventually(() => assert.ok(fake.looks > looks + 3));
  assert.deepEqual(delayed(), told, 'what cannot be seen stands as it was told, also by the process before');
  fake.down = false;
  fake.status = { waiting: 1, oldestAgeMs: 100, refused: 2 };
  await eventually(() => assert.equal(delayed()?.reason, 'EventsRefused'));
  fake.status = NOTHING;
  await eventually(() => assert.equal(delayed(), undefined));
  assert.deepEqual(events(next), ['EventsRefused', 'EventsPublished']);
});

test('an endpoint without an event bus says nothing of events, whatever an earlier one has left', async () => {
  await using root = await temporaryFolder();
  const fake = fakeOutbox();
  fake.status = { waiting: 1, oldestAgeMs: 600_000, refused: 0 };
  await using running = await startTestOperator({ folder: root.path, repository: new MemoryRows(), resyncMs: 30, outbox: fake.outbox });
  await running.write('all.yaml', ENDPOINT.replace(/, events: .*}}}/, '}'));
  await eventually(() => assert.equal(running.conditions('SftpEndpoint', 'main').at(-1), 'Ready=True Ready'));
  assert.deepEqual([fake.looks, running.conditions('SftpEndpoint', 'main').length], [0, 4]);
});
