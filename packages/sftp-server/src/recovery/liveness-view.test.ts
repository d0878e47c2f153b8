import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstanceRegistry } from '@skiff/database/operation-log';
import { StoreError } from '@skiff/model/store-error';
import type { InstanceId } from '@skiff/model/upload-state';
import { LEASE_MS } from '../lease.ts';
import { LivenessView } from './liveness-view.ts';

const own = 'own' as InstanceId;
const other = 'other' as InstanceId;
const EVERY_MS = 3_000;

/** A registry and a clock under the test's hand. The wall clock is an hour off on every look: nothing may depend on it. */
function watch() {
  let monotonicMs = 0;
  let wallMs = 0;
  const counters = new Map([
    [own, 0n],
    [other, 0n],
  ]);
  let away = false;
  const registry: InstanceRegistry = {
    register: () => Promise.resolve(),
    renew: () => Promise.resolve(true),
    remove: () => Promise.resolve(),
    list: () => {
      if (away) return Promise.reject(new StoreError({ code: 'unavailable', message: 'away' }));
      return Promise.resolve([...counters].map(([id, renewals]) => ({ id, renewals })));
    },
  };
  const now = () => {
    wallMs += 3_600_000;
    return new Date(wallMs);
  };
  const view = new LivenessView(registry, { monotonicMs: () => monotonicMs, now });
  return {
    setAway: (value: boolean) => {
      away = value;
    },
    signOff: (id: InstanceId) => counters.delete(id),
    /** Looks every three seconds for so long; who renews does so before each look. */
    look: async (forMs: number, renewing: readonly InstanceId[] = [own]) => {
      let living: readonly InstanceId[] | undefined;
      for (const end = monotonicMs + forMs; monotonicMs < end; ) {
        monotonicMs += EVERY_MS;
        if (!away) for (const id of renewing) counters.set(id, (counters.get(id) ?? 0n) + 1n);
        living = await view.living().catch(() => undefined);
      }
      return living;
    },
    pause: (ms: number) => {
      monotonicMs += ms;
    },
  };
}

test('an instance whose counter stands still for a lease is dead, and not before', async () => {
  const { look } = watch();
  assert.deepEqual(await look(LEASE_MS), [own, other]);
  assert.deepEqual(await look(EVERY_MS * 2), [own]);
});

test('an outage of the database ends no lease: nobody could renew', async () => {
  const { look, setAway } = watch();
  await look(6_000, [own, other]);
  setAway(true);
  assert.equal(await look(120_000, [own, other]), undefined);
  setAway(false);
  assert.deepEqual(await look(EVERY_MS, []), [own, other], 'at the first look after the outage nobody has renewed yet');
  assert.deepEqual(await look(LEASE_MS - EVERY_MS, [own]), [own, other]);
  assert.deepEqual(await look(EVERY_MS * 2, [own]), [own], 'who does not come back is dead after a full lease');
});

test('a pause of this very process ends no lease', async () => {
  const { look, pause } = watch();
  await look(6_000, [own, other]);
  pause(3_600_000);
  assert.deepEqual(await look(EVERY_MS, []), [own, other]);
});

test('an instance that signs off is not among the living at once', async () => {
  const { look, signOff } = watch();
  assert.deepEqual(await look(EVERY_MS, [own, other]), [own, other]);
  signOff(other);
  assert.deepEqual(await look(EVERY_MS, [own]), [own]);
});
