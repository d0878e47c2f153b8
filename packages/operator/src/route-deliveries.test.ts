import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RouteCounts } from '@skiff/database/delivery-history';
import { StoreError } from '@skiff/model/store-error';
import { eventually } from './testing/eventually.ts';
import { MemoryRows } from './testing/memory-rows.ts';
import { ENDPOINT, startTestOperator } from './testing/running-operator.ts';
import { temporaryFolder } from './testing/temporary-folder.ts';

const ROUTE = `---
apiVersion: skiff.dev/v1alpha1
kind: EventRoute
metadata: {name: inbox}
spec: {endpointRef: {name: main}, targets: [{name: app, http: {url: "http://app.example/"}}]}
`;
const INBOX = { kind: 'EventRoute', namespace: 'default', name: 'inbox' } as const;

/** Counters as a database would have them. */
function fakeCounts() {
  const fake = {
    looks: 0,
    down: false,
    counts: [] as RouteCounts[],
    history: {
      counts: (): Promise<readonly RouteCounts[]> => {
        fake.looks += 1;
        return fake.down ? Promise.reject(new StoreError({ code: 'unavailable', message: 'away' })) : Promise.resolve(fake.counts);
      },
    },
    set(delivered: number, more: Partial<RouteCounts> = {}) {
      const none = { died: 0, waiting: 0, dead: 0, lastDeliveredAt: null, lastFailure: null };
      fake.counts = [{ ...none, route: 'default/inbox', delivered, ...more }];
    },
  };
  return fake;
}

test("a route's status says what was delivered, when, and why it failed; a new process goes on from there", async () => {
  await using root = await temporaryFolder();
  const rows = new MemoryRows();
  const fake = fakeCounts();
  const expected = {
    succeeded: 12,
    retrying: 3,
    dead: 1,
    lastSuccessTime: '2026-01-01T00:00:01Z',
    lastFailureTime: '2026-01-01T00:00:02Z',
    lastFailureReason: 'app: HTTP 500',
  };
  {
    await using running = await startTestOperator({ folder: root.path, repository: rows, resyncMs: 30, deliveries: fake.history });
    await running.write('all.yaml', ENDPOINT + ROUTE);
    await eventually(() => assert.equal(running.conditions('EventRoute', 'inbox').at(-1), 'Ready=True Ready'));
    assert.equal(running.source.status(INBOX)?.deliveries, undefined);
    fake.set(12, {
      waiting: 3,
      dead: 1,
      lastDeliveredAt: new Date('2026-01-01T00:00:01.234Z'),
      lastFailure: { at: new Date('2026-01-01T00:00:02.345Z'), reason: 'app: HTTP 500' },
    });
    await eventually(() => assert.deepEqual(running.source.status(INBOX)?.deliveries, expected));
    assert.equal(running.conditions('EventRoute', 'inbox').length, 4);
    fake.down = true;
    const looks = fake.looks;
    await eventually(() => assert.ok(fake.looks > looks + 2));
    assert.deepEqual(running.source.status(INBOX)?.deliveries, expected, 'they stay while the database is away');
    assert.equal(running.conditions('EventRoute', 'inbox').at(-1), 'Ready=True Ready');
  }
  await using next = await startTestOperator({ folder: root.path, repository: rows, deliveries: fake.history });
  assert.deepEqual(next.source.status(INBOX)?.deliveries, expected);
});

test('counters are looked at once per resync, however often the route itself changes', async () => {
  await using root = await temporaryFolder();
  const fake = fakeCounts();
  fake.set(1);
  await using running = await startTestOperator({ folder: root.path, repository: new MemoryRows(), resyncMs: 60_000, deliveries: fake.history });
  await running.write('all.yaml', ENDPOINT + ROUTE);
  await eventually(() => assert.equal(running.source.status(INBOX)?.deliveries?.succeeded, 1));
  for (let change = 0; change < 5; change++) {
    fake.set(change + 2);
    await running.write('all.yaml', ENDPOINT + ROUTE.replace('app.example', `app${change}.example`));
    await eventually(async () => assert.equal(running.source.routes()[0]?.spec.targets[0]?.http?.url, `http://app${change}.example/`));
    await sleep(50);
  }
  assert.deepEqual([fake.looks, running.source.status(INBOX)?.deliveries?.succeeded], [1, 1]);
});
