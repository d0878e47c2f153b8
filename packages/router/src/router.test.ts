import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { CLOUD_EVENTS_JSON } from '@skiff/model/file-event';
import type { RouteRow } from '@skiff/model/resource-rows';
import type { Failpoints } from '@skiff/runtime/failpoint';
import { createRouterRig, delivered, eventually, failed, fileEvent, httpTarget, type RouterRig, type RouterRigOptions, routeRow } from './router-rig.fake.ts';

const fast = { minBackoffSeconds: 1, maxBackoffSeconds: 1 };
const key = (eventId: string, target = 'app', route = 'team/r') => ({ eventId, route, target });
const ids = (count: number) => Array.from({ length: count }, (_, index) => `e${index}`);

describe('router', { concurrency: true }, () => {
  const start = async (t: TestContext, routes: readonly RouteRow[], options: RouterRigOptions = {}): Promise<RouterRig> => {
    const rig = createRouterRig(routes, options);
    t.after(() => rig.router.stop(AbortSignal.timeout(500)));
    await rig.router.start();
    return rig;
  };
  const callsTo = (rig: RouterRig, target: string) => rig.calls.filter((call) => call.target === target);
  const drained = (rig: RouterRig) => eventually('the queue is empty', () => rig.bus.pending.length === 0);

  it('delivers an event to every target of every matching route and records it', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('a'), httpTarget('b')]), routeRow('s', [httpTarget('c')])]);
    await rig.publish('e1');
    await drained(rig);
    assert.deepEqual(rig.calls.map(({ target, eventId, attempt }) => `${target} ${eventId} ${attempt}`).sort(), ['a e1 1', 'b e1 1', 'c e1 1']);
    await eventually('outcomes are recorded', () => rig.log.rows.size === 3);
    assert.equal(rig.log.row(key('e1', 'c', 'team/s'))?.state, 'succeeded');
    assert.equal(rig.log.calls.park, 0);
  });

  describe('in order', () => {
    const publish = async (rig: RouterRig, ...messages: readonly (readonly [string, string])[]) => {
      for (const [messageId, sessionId] of messages)
        await rig.publishRaw({ messageId, sessionId, contentType: CLOUD_EVENTS_JSON, body: Buffer.from(JSON.stringify(fileEvent(messageId))) });
    };
    const eventsTo = (rig: RouterRig, target: string) => callsTo(rig, target).map(({ eventId }) => eventId);

    it('holds later events of a path back from the target that refused an earlier one, and from no other', async (t) => {
      const rig = await start(t, [routeRow('r', [httpTarget('app', fast), httpTarget('other', fast)])], { consumers: 1, inOrder: true });
      rig.behaviours.set('app', ({ eventId, attempt }) => (eventId === 'a1' && attempt < 3 ? failed : delivered));
      await publish(rig, ['a1', 'a'], ['a2', 'a'], ['b1', 'b'], ['a3', 'a']);
      await drained(rig);
      assert.deepEqual(eventsTo(rig, 'other'), ['a1', 'a2', 'b1', 'a3']);
      assert.deepEqual(eventsTo(rig, 'app'), ['a1', 'b1']);
      await eventually('the target has all', () => eventsTo(rig, 'app').includes('a3'), 15_000);
      assert.deepEqual(eventsTo(rig, 'app'), ['a1', 'b1', 'a1', 'a1', 'a2', 'a3']);
    });

    it('delivers what was held back one right after the other once the first has succeeded', async (t) => {
      const rig = await start(t, [routeRow('r', [httpTarget('app', fast)])], { consumers: 1, inOrder: true });
      rig.behaviours.set('app', ({ eventId, attempt }) => (eventId === 'a0' && attempt === 1 ? failed : delivered));
      const ids = Array.from({ length: 30 }, (_, index) => `a${index}`);
      await publish(rig, ...ids.map((id) => [id, 'a'] as const));
      await eventually('the target has all', () => eventsTo(rig, 'app').includes('a29'), 30_000);
      assert.deepEqual(eventsTo(rig, 'app'), ['a0', ...ids]);
      const at = callsTo(rig, 'app').map((call) => call.at);
      // By the batches in which outcomes are otherwise written, each would take half a second.
      const tookMs = (at.at(-1) ?? Number.NaN) - (at[1] ?? Number.NaN);
      assert.ok(tookMs < 7_000, `${tookMs} ms`);
    });

    it('goes on with the next when a delivery is dead', async (t) => {
      const rig = await start(t, [routeRow('r', [httpTarget('app', { ...fast, maxAttempts: 2 })])], { consumers: 1, inOrder: true });
      rig.behaviours.set('app', ({ eventId }) => (eventId === 'a1' ? failed : delivered));
      await publish(rig, ['a1', 'a'], ['a2', 'a']);
      await eventually('the second has come', () => eventsTo(rig, 'app').includes('a2'), 15_000);
      assert.deepEqual(eventsTo(rig, 'app'), ['a1', 'a1', 'a2']);
      assert.equal(rig.log.row(key('a1'))?.state, 'dead');
    });

    it('delivers nothing while it is not known what has to go first, and sets nothing aside', async (t) => {
      const rig = await start(t, [routeRow('r', [httpTarget('app', fast)])], { consumers: 1, inOrder: true, bus: { maxDeliveryCount: 2 } });
      rig.log.outage(true);
      await publish(rig, ['a1', 'a']);
      // Twice as long as two returns to the queue would take.
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      assert.deepEqual(eventsTo(rig, 'app'), []);
      rig.log.outage(false);
      await eventually('it has come', () => eventsTo(rig, 'app').length === 1);
      assert.deepEqual(rig.bus.deadLetters, []);
    });
  });

  it('completes a message that no route takes', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('a')], { usernames: ['bert'] })]);
    await rig.publish('e1');
    await drained(rig);
    assert.deepEqual(rig.calls, []);
    assert.deepEqual(rig.bus.deadLetters, []);
  });

  it('sets a message aside that is not JSON, with the reason', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('a')])]);
    await rig.publishRaw({ body: Buffer.from('not json') });
    await rig.publishRaw({ body: Buffer.from([0xff, 0x31]) });
    await eventually('both are set aside', () => rig.bus.deadLetters.length === 2);
    assert.deepEqual([...new Set(rig.bus.deadLetters.map(({ reason }) => reason))], ['NotAnEvent']);
    assert.match(rig.bus.deadLetters[0]?.description ?? '', /not JSON/);
    assert.deepEqual(rig.calls, []);
  });

  it('sends other JSON to routes that name no path, user or type', async (t) => {
    const rig = await start(t, [
      routeRow('r', [httpTarget('open')]),
      routeRow('p', [httpTarget('paths')], { paths: ['/**'] }),
      routeRow('u', [httpTarget('users')], { usernames: ['anna'] }),
    ]);
    const bodies: string[] = [];
    rig.behaviours.set('open', ({ body, event, contentType }) => {
      bodies.push(`${body} ${event} ${contentType}`);
      return delivered;
    });
    await rig.publishRaw({ body: Buffer.from('{"order":7}'), contentType: 'application/vnd.shop+json' });
    await drained(rig);
    assert.deepEqual(bodies, ['{"order":7} undefined application/vnd.shop+json']);
    assert.equal(rig.calls.length, 1);
  });

  it('puts failed deliveries of an event aside in one transaction, completes the message and tries again until success', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('ok'), httpTarget('bad1', fast), httpTarget('bad2', fast)])]);
    for (const name of ['bad1', 'bad2']) rig.behaviours.set(name, ({ attempt }) => (attempt < 3 ? failed : delivered));
    await rig.publish('e1');
    await drained(rig);
    assert.equal(rig.log.calls.park, 1);
    await eventually('both succeed', () => ['bad1', 'bad2'].every((name) => rig.log.row(key('e1', name))?.state === 'succeeded'));
    assert.deepEqual(
      callsTo(rig, 'bad1').map(({ attempt }) => attempt),
      [1, 2, 3],
    );
    assert.equal(callsTo(rig, 'ok').length, 1);
  });

  it('waits as long as the target asks by Retry-After', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('app', fast)])]);
    rig.behaviours.set('app', ({ attempt }) => (attempt === 1 ? { kind: 'retry', reason: 'HTTP 503', retryAfterMs: 1800 } : delivered));
    await rig.publish('e1');
    await eventually('it succeeds', () => rig.log.row(key('e1'))?.state === 'succeeded');
    const [first, second] = callsTo(rig, 'app');
    assert.ok(first !== undefined && second !== undefined && second.at - first.at >= 1800);
  });

  it('gives up at once on a rejection, with the reason, and keeps the message for a replay', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('app')])]);
    rig.behaviours.set('app', () => ({ kind: 'rejected', reason: 'HTTP 410' }));
    await rig.publish('e1');
    await eventually('it is dead', () => rig.log.row(key('e1'))?.state === 'dead');
    assert.equal(rig.log.row(key('e1'))?.said, 'rejected: HTTP 410');
    assert.ok(rig.log.row(key('e1'))?.body);
    assert.equal(rig.calls.length, 1);
  });

  it('gives up after the last attempt, with the reason', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('app', { ...fast, maxAttempts: 2 }), httpTarget('once', { maxAttempts: 1 })])]);
    rig.behaviours.set('app', () => failed);
    rig.behaviours.set('once', () => failed);
    await rig.publish('e1');
    await eventually('both are dead', () => ['app', 'once'].every((name) => rig.log.row(key('e1', name))?.state === 'dead'));
    assert.equal(rig.log.row(key('e1'))?.said, '2 attempts failed: HTTP 500');
    assert.equal(callsTo(rig, 'app').length, 2);
    assert.equal(callsTo(rig, 'once').length, 1);
  });

  it('lets a slow attempt go on after the message is completed, and counts it once', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('app')])]);
    rig.behaviours.set('app', () => new Promise((resolve) => setTimeout(() => resolve(delivered), 400)));
    await rig.publish('e1');
    await drained(rig);
    assert.equal(rig.log.row(key('e1'))?.state, 'waiting');
    await eventually('it succeeds', () => rig.log.row(key('e1'))?.state === 'succeeded');
    assert.equal(rig.log.row(key('e1'))?.attempt, 1);
    assert.equal(rig.calls.length, 1);
  });

  it('keeps the other targets fast while one hangs, with few consumers and many events', async (t) => {
    const names = Array.from({ length: 10 }, (_, index) => `t${index}`);
    const rig = await start(
      t,
      [
        routeRow(
          'r',
          names.map((name) => httpTarget(name)),
        ),
      ],
      { consumers: 8, limits: { targetConcurrency: 4 } },
    );
    rig.behaviours.set('t0', (_, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(failed))));
    const begun = performance.now();
    await rig.publish(...ids(200));
    await eventually('the others have all events', () => rig.calls.filter(({ target }) => target !== 't0').length === 1800);
    assert.ok(performance.now() - begun < 2000);
    await drained(rig);
    await eventually('all are put aside', () => [...rig.log.rows.keys()].filter((row) => row.endsWith(' t0')).length === 200);
    assert.ok(callsTo(rig, 't0').length <= 4);
  });

  it('sends a message that comes again only to targets that do not have it', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('ok'), httpTarget('bad', fast)])], {
      limits: { parkPatienceMs: 0 },
      bus: { maxDeliveryCount: 1_000_000 },
    });
    rig.log.outage(true);
    rig.behaviours.set('bad', () => failed);
    await rig.publish('e1');
    await eventually('it came several times', () => callsTo(rig, 'bad').length >= 3);
    rig.behaviours.set('bad', () => delivered);
    await drained(rig);
    assert.equal(callsTo(rig, 'ok').length, 1);
    rig.log.outage(false);
    await eventually('both are recorded', () => rig.log.row(key('e1', 'ok'))?.state === 'succeeded' && rig.log.row(key('e1', 'bad'))?.state === 'succeeded');
  });

  it('holds a message while the database is away and puts its failed delivery aside as soon as it is back', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('bad', fast)])], { limits: { parkPatienceMs: 10_000 } });
    rig.log.outage(true);
    rig.behaviours.set('bad', ({ attempt }) => (attempt === 1 ? failed : delivered));
    await rig.publish('e1');
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(rig.bus.pending.length, 1);
    rig.log.outage(false);
    await drained(rig);
    await eventually('it succeeds', () => rig.log.row(key('e1', 'bad'))?.state === 'succeeded');
    assert.equal(rig.calls.length, 2);
  });

  it('delivers again, under the same id, what it could not complete', async (t) => {
    let hits = 0;
    const failpoints: Failpoints = {
      hit: (name) => (name === 'router.delivered' && ++hits === 1 ? Promise.reject(new Error('failpoint')) : undefined),
    };
    const rig = await start(t, [routeRow('r', [httpTarget('app')])], { failpoints });
    await rig.publish('e1');
    await drained(rig);
    assert.deepEqual(
      callsTo(rig, 'app').map(({ eventId }) => eventId),
      ['e1', 'e1'],
    );
  });

  it('does not repeat a delivery that it has put aside, when the message comes again', async (t) => {
    let hits = 0;
    const failpoints: Failpoints = { hit: (name) => (name === 'router.parked' && ++hits === 1 ? Promise.reject(new Error('failpoint')) : undefined) };
    const rig = await start(t, [routeRow('r', [httpTarget('app', { minBackoffSeconds: 60 })])], { failpoints });
    rig.behaviours.set('app', () => failed);
    await rig.publish('e1');
    await drained(rig);
    assert.equal(hits, 1);
    assert.equal(rig.calls.length, 1);
    assert.equal(rig.log.row(key('e1'))?.state, 'waiting');
  });

  it('takes a new route and forgets a removed one within the poll interval', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('old')])]);
    rig.setRoutes([routeRow('n', [httpTarget('new')])]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await rig.publish('e1');
    await drained(rig);
    assert.deepEqual(
      rig.calls.map(({ target }) => target),
      ['new'],
    );
  });

  it('keeps the last known routes while the database is away', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('a')])]);
    rig.routesDown(true);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await rig.publish('e1');
    await drained(rig);
    assert.equal(rig.calls.length, 1);
  });

  it('takes no message before it knows the routes', async (t) => {
    const rig = createRouterRig([routeRow('r', [httpTarget('a')])]);
    t.after(() => rig.router.stop(AbortSignal.timeout(500)));
    rig.routesDown(true);
    const starting = rig.router.start();
    await rig.publish('e1');
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(rig.bus.pending.length, 1);
    rig.routesDown(false);
    await starting;
    await drained(rig);
    assert.equal(rig.calls.length, 1);
  });

  it('buries waiting deliveries of a removed target with the reason', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('app', fast)])]);
    rig.behaviours.set('app', () => failed);
    await rig.publish('e1');
    await drained(rig);
    rig.setRoutes([]);
    await eventually('it is dead', () => rig.log.row(key('e1'))?.state === 'dead');
    assert.equal(rig.log.row(key('e1'))?.said, 'the route or target was removed');
  });

  it('ends what is under way when it stops, and cuts off what takes too long', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('app')])], { limits: { fastLaneMs: 5000 } });
    rig.behaviours.set('app', () => new Promise((resolve) => setTimeout(() => resolve(delivered), 200)));
    await rig.publish('e1');
    await eventually('it is under way', () => rig.calls.length === 1);
    await rig.router.stop(AbortSignal.timeout(5000));
    assert.equal(rig.bus.pending.length, 0);
    assert.equal(rig.log.row(key('e1'))?.state, 'succeeded');

    rig.behaviours.set('app', (_, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(failed))));
    rig.router = rig.newRouter();
    await rig.router.start();
    await rig.publish('e2');
    await eventually('it is under way', () => rig.calls.length === 2);
    const begun = performance.now();
    await rig.router.stop(AbortSignal.timeout(100));
    assert.ok(performance.now() - begun < 2000);
    assert.equal(rig.bus.pending.length, 1);
    assert.equal(rig.log.row(key('e2')), undefined);
  });

  it('sends a trickle to a target that keeps failing, and everything once it is back', async (t) => {
    const rig = await start(t, [routeRow('r', [httpTarget('app', fast)])], { consumers: 1 });
    rig.behaviours.set('app', () => failed);
    await rig.publish(...ids(50));
    await drained(rig);
    assert.ok(rig.calls.length <= 10, String(rig.calls.length));
    rig.behaviours.delete('app');
    await eventually('all succeed', () => ids(50).every((id) => rig.log.row(key(id))?.state === 'succeeded'), 15_000);
  });
});
