import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createOperationLog } from '@skiff/database/mysql-operation-log';
import type { OperationLog } from '@skiff/database/operation-log';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { instance, newOperationId, sampleIntent, samplePlan } from '@skiff/database/testing/sample-operation';
import type { EventPublisher } from '@skiff/messaging/event-bus';
import { createMemoryBus, type MemoryBus } from '@skiff/messaging/memory-bus';
import type { FileEvent } from '@skiff/model/file-event';
import { StoreError } from '@skiff/model/store-error';
import { eventIdOf, type OperationId } from '@skiff/model/upload-state';
import { type Failpoints, noFailpoints } from '@skiff/runtime/failpoint';
import { silentLogger } from '@skiff/runtime/logger';
import { Relay, type RelayProps } from '@skiff/sftp-server/relay';

const POD = 'pod-1';
/** More than an event on a short path has, and less than one on a long path. */
const MAX_BODY_BYTES = 900;
const LONG = `/${'x'.repeat(200)}`;

let database: TestDatabase;
let log: OperationLog;
let endpointId = 1;
let nowMs = 0;
let errors: string[] = [];

before(async () => {
  database = await openTestDatabase();
  log = createOperationLog(database.database);
});
after(() => database.close());
beforeEach(() => {
  endpointId++;
  errors = [];
});

const clock = { now: () => new Date(), monotonicMs: () => nowMs };
const logger = { ...silentLogger, error: (fields: object) => errors.push(JSON.stringify(fields)) };

function relayTo(publisher: EventPublisher, more: Partial<RelayProps> = {}): Relay {
  return new Relay({ log, endpointId, instance: instance(POD), publisher, ordered: false, clock, logger, failpoints: noFailpoints, ...more });
}

/** Calls back so many turns of the microtask queue after the first batch was marked as published. */
function afterFirstBatch(turns: number, call: () => void): Failpoints {
  let batches = 0;
  return {
    hit(name) {
      if (name === 'relay.marked' && batches++ === 0) void afterTurns(turns, call);
      return undefined;
    },
  };
}

async function afterTurns(turns: number, call: () => void): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await undefined;
  call();
}

async function commit(path: string, to = log, owner = POD): Promise<{ readonly id: OperationId; readonly event: FileEvent }> {
  const id = newOperationId();
  const begun = await to.begin({ ...sampleIntent({ path, id, endpointId, owner }), plan: samplePlan(id, path) });
  assert.ok(begun.kind === 'begun');
  const event = await to.committed({ id, epoch: begun.epoch }, { etag: '"1"' });
  assert.ok(event);
  return { id, event };
}

/** As if another server had left them: committed, and claimed by nobody. */
async function leave(paths: readonly string[]): Promise<readonly string[]> {
  const left = await Promise.all(paths.map((path) => commit(path)));
  await log.releasePublishable(left.map(({ id }) => id));
  return left.map(({ id }) => eventIdOf(id));
}

const waiting = (bus: MemoryBus): readonly string[] => bus.pending.map(({ messageId }) => messageId).toSorted();

/** Counts the calls, and asks for fewer of them while `throttled`. */
function throttlingPublisher(bus: MemoryBus, retryAfterMs: number | undefined) {
  const state = { calls: 0, throttled: true };
  const publisher: EventPublisher = {
    ...bus.publisher,
    async publish(messages, signal) {
      state.calls++;
      if (state.throttled) throw new StoreError({ code: 'throttled', message: 'slower', retryAfterMs });
      await bus.publisher.publish(messages, signal);
    },
  };
  return { state, publisher };
}

describe('relay', () => {
  it('sets an event that is too large for the bus apart with the reason, and sends all others of its batch', async () => {
    const bus = createMemoryBus({ maxBodyBytes: MAX_BODY_BYTES });
    const [first, large, last] = await leave(['/a', LONG, '/b']);
    assert.equal(await relayTo(bus.publisher).poll(), 2);
    assert.deepEqual(waiting(bus), [first, last].toSorted());
    assert.deepEqual(await log.outboxStatus(endpointId), { waiting: 0, oldestAgeMs: 0, refused: 1 });
    assert.equal(errors.length, 1);
    assert.ok(errors[0]?.includes(`"event":"${large}"`) && errors[0].includes(`bytes are more than ${MAX_BODY_BYTES}`), errors[0]);
  });

  it('does the same with an event that goes straight from its commit to the bus', async () => {
    const bus = createMemoryBus({ maxBodyBytes: MAX_BODY_BYTES });
    const relay = relayTo(bus.publisher);
    const [small, large] = [await commit('/a'), await commit(LONG)];
    for (const { event, id } of [large, small]) relay.offer(event, id);
    await relay.idle();
    assert.deepEqual(waiting(bus), [small.event.id]);
    assert.equal((await log.find(large.id))?.state, 'refused');
  });

  it('sends what was refused when a server starts and the bus takes more', async () => {
    const [large] = await leave([LONG]);
    const before = relayTo(createMemoryBus({ maxBodyBytes: MAX_BODY_BYTES }).publisher);
    await before.poll();
    await before.poll();
    assert.equal(errors.length, 1, 'it is not tried again and again');
    const bus = createMemoryBus();
    assert.equal(await relayTo(bus.publisher).poll(), 1);
    assert.deepEqual(waiting(bus), [large]);
    assert.deepEqual(await log.outboxStatus(endpointId), { waiting: 0, oldestAgeMs: 0, refused: 0 });
  });

  it('leaves a bus that asks for fewer calls alone for as long as it asked, and lets others have the events', async () => {
    const bus = createMemoryBus();
    const { state, publisher } = throttlingPublisher(bus, 10_000);
    const relay = relayTo(publisher);
    const [event] = await leave(['/a']);
    assert.equal(await relay.poll(), 0);
    assert.equal(await relay.poll(), 0);
    const fresh = await commit('/b');
    relay.offer(fresh.event, fresh.id);
    await relay.idle();
    nowMs += 9_900;
    assert.equal(await relay.poll(), 0);
    assert.equal(state.calls, 1);
    assert.equal((await log.claimPublishable(endpointId, instance('pod-2'), 10)).length, 1);
    await log.releasePublishable([fresh.id]);
    const other = relayTo(bus.publisher);
    await other.poll();
    assert.deepEqual(waiting(bus), [fresh.event.id]);
    await database.database.queries.updateTable('operations').set({ claim_until: null }).execute();
    state.throttled = false;
    nowMs += 2_200;
    assert.equal(await relay.poll(), 1);
    assert.deepEqual(waiting(bus), [event, fresh.event.id].toSorted());
  });

  it('leaves it alone after a direct sending was throttled too, also when it does not say for how long', async () => {
    const bus = createMemoryBus();
    const { state, publisher } = throttlingPublisher(bus, undefined);
    const relay = relayTo(publisher);
    const first = await commit('/a');
    relay.offer(first.event, first.id);
    await relay.idle();
    nowMs += 4_900;
    await relay.poll();
    const second = await commit('/b');
    relay.offer(second.event, second.id);
    await relay.idle();
    assert.equal(state.calls, 1);
    state.throttled = false;
    await log.releasePublishable([first.id, second.id]);
    nowMs += 1_200;
    assert.equal(await relay.poll(), 2);
    const third = await commit('/c');
    relay.offer(third.event, third.id);
    await relay.idle();
    assert.deepEqual(waiting(bus), [first, second, third].map(({ event }) => event.id).toSorted());
  });

  it('publishes the events of a path one after the other in order, each after the last was confirmed', async () => {
    const bus = createMemoryBus();
    const gate: { open: () => void; under: readonly string[] }[] = [];
    const publisher: EventPublisher = {
      ...bus.publisher,
      async publish(messages, signal) {
        const passed = Promise.withResolvers<void>();
        gate.push({ open: passed.resolve, under: messages.map(({ messageId }) => messageId) });
        await passed.promise;
        await bus.publisher.publish(messages, signal);
      },
    };
    const relay = relayTo(publisher, { ordered: true });
    const committed: FileEvent[] = [];
    for (const path of ['/same', '/same', '/other', '/same']) {
      const { id, event } = await commit(path);
      committed.push(event);
      relay.offer(event, id);
    }
    const [first, second, other, third] = committed.map(({ id }) => id);
    const polled = relay.poll();
    const rounds: (readonly string[])[] = [];
    for (let i = 0; i < 600 && bus.pending.length < 4; i++) {
      assert.ok(gate.length <= 1, 'one call at a time');
      const call = gate.shift();
      if (call !== undefined) rounds.push(call.under);
      call?.open();
      await sleep(10);
    }
    await Promise.all([polled, relay.idle()]);
    assert.deepEqual(
      rounds.flat().filter((id) => id !== other),
      [first, second, third],
    );
    assert.ok(rounds.every((round) => round.filter((id) => id !== other).length <= 1));
    const sessions = new Map(bus.pending.map(({ messageId, sessionId }) => [messageId, sessionId]));
    assert.equal(sessions.get(first ?? ''), sessions.get(third ?? ''));
    assert.notEqual(sessions.get(first ?? ''), sessions.get(other ?? ''));
  });

  it('sends what is offered at the very moment that it is done with all else', async () => {
    for (let turns = 0; turns < 12; turns++) {
      const bus = createMemoryBus();
      const [first, second] = [await commit('/a'), await commit('/b')];
      const offerSecond = () => relay.offer(second.event, second.id);
      const relay: Relay = relayTo(bus.publisher, { failpoints: afterFirstBatch(turns, offerSecond) });
      relay.offer(first.event, first.id);
      await relay.idle();
      await sleep(0);
      await relay.idle();
      assert.deepEqual(waiting(bus), [first.event.id, second.event.id].toSorted(), `after ${turns} turns`);
    }
  });

  it('goes on at once with the next event of a path, whichever server has committed it', async () => {
    const bus = createMemoryBus();
    const passed = Promise.withResolvers<void>();
    let calls = 0;
    const publisher: EventPublisher = {
      ...bus.publisher,
      async publish(messages, signal) {
        calls++;
        await passed.promise;
        await bus.publisher.publish(messages, signal);
      },
    };
    const unclaimed = createOperationLog(database.database, { unclaimed: true });
    const one = relayTo(publisher, { ordered: true, log: unclaimed });
    const other = relayTo(publisher, { ordered: true, log: unclaimed, instance: instance('pod-2') });
    const first = await commit('/same', unclaimed);
    one.offer(first.event, first.id);
    while (calls === 0) await sleep(5);
    const second = await commit('/same', unclaimed, 'pod-2');
    other.offer(second.event, second.id);
    await other.idle();
    assert.equal(calls, 1, 'the second waits for the first');
    passed.resolve();
    await one.idle();
    assert.deepEqual(
      bus.pending.map(({ messageId }) => messageId),
      [first.event.id, second.event.id],
    );
  });

  it('believes no bus that asks to be left alone for a day', async () => {
    const bus = createMemoryBus();
    const { state, publisher } = throttlingPublisher(bus, 86_400_000);
    const relay = relayTo(publisher);
    await leave(['/a']);
    await relay.poll();
    state.throttled = false;
    nowMs += 72_000;
    assert.equal(await relay.poll(), 1);
  });
});
