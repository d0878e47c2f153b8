import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstanceRegistry } from '@skiff/database/operation-log';
import type { InstanceId } from '@skiff/model/upload-state';
import { silentLogger } from '@skiff/runtime/logger';
import { keepLease, LEASE_MS } from './lease.ts';

const POD = 'pod-1' as InstanceId;

async function acquire() {
  const registered = new Set<InstanceId>();
  const time = { nowMs: 1_000, away: false };
  const reach = () => (time.away ? Promise.reject(new Error('away')) : Promise.resolve());
  const registry: InstanceRegistry = {
    register: (id) => reach().then(() => void registered.add(id)),
    renew: (id) => reach().then(() => registered.has(id)),
    list: () => Promise.resolve([...registered].map((id) => ({ id, renewals: 0n }))),
    remove: (id) => reach().then(() => void registered.delete(id)),
  };
  const clock = { now: () => new Date(), monotonicMs: () => time.nowMs };
  const live = await keepLease({ instance: POD, mode: 'test', registry, clock, logger: silentLogger });
  return { ...live, registered, time };
}

test('a lease lasts from before its renewal was sent', async () => {
  const { lease, release, time } = await acquire();
  time.nowMs += 4_000;
  assert.equal(lease.remainingMs(), LEASE_MS - 4_000);
  await lease.renew();
  assert.equal(lease.remainingMs(), LEASE_MS);
  time.away = true;
  time.nowMs += LEASE_MS;
  await assert.rejects(lease.renew());
  assert.equal(lease.remainingMs(), 0);
  await release();
});

test('an instance that was declared dead while it lived registers again', async () => {
  const { lease, release, registered } = await acquire();
  registered.clear();
  await lease.renew();
  assert.deepEqual([...registered], [POD]);
  await release();
});

test('nothing remains of a lease that was given back: what still runs in this process must not take itself for the owner', async () => {
  const { lease, release, registered } = await acquire();
  await release();
  assert.equal(lease.remainingMs(), 0);
  await assert.rejects(lease.renew());
  assert.deepEqual([...registered], []);
});

test('nor when the database cannot be told', async () => {
  const { lease, release, time } = await acquire();
  time.away = true;
  await release();
  assert.equal(lease.remainingMs(), 0);
});
