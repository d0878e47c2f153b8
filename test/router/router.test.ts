import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { type RouterRig, route, startRouterRig, target } from './router-rig.ts';

const fast = { minBackoffSeconds: 1, maxBackoffSeconds: 2 };

async function isIn(rig: RouterRig, state: string, eventId: string, name = 'app'): Promise<boolean> {
  return (await rig.row(eventId, name))?.state === state;
}

describe('router with a database and an HTTP application', { concurrency: 4 }, () => {
  it('tries a 500 again until it is a 200', async (t) => {
    const rig = await startRouterRig(t, (application) => [route('r', [target(application, 'app', fast)])]);
    rig.application.on('/app', ({ count }) => ({ status: count < 3 ? 500 : 200 }));
    await rig.publish('e1');
    await eventually('it succeeded', () => isIn(rig, 'succeeded', 'e1'));
    assert.equal(rig.application.calls.length, 3);
    assert.equal((await rig.row('e1', 'app'))?.attempt, 3);
  });

  it('waits as long as Retry-After asks', async (t) => {
    const rig = await startRouterRig(t, (application) => [route('r', [target(application, 'app', fast)])]);
    rig.application.on('/app', ({ count }) => (count === 1 ? { status: 503, headers: { 'retry-after': '3' } } : { status: 200 }));
    await rig.publish('e1');
    await eventually('it succeeded', () => isIn(rig, 'succeeded', 'e1'));
    const [first, second] = rig.application.calls;
    assert.ok(first !== undefined && second !== undefined);
    assert.ok(second.atMs - first.atMs >= 2990, String(second.atMs - first.atMs));
  });

  it('gives up on a 410 at once, and on a 500 after the last attempt, with the reason', async (t) => {
    const rig = await startRouterRig(t, (application) => [route('r', [target(application, 'gone'), target(application, 'bad', { ...fast, maxAttempts: 2 })])]);
    rig.application.on('/gone', () => ({ status: 410 }));
    rig.application.on('/bad', () => ({ status: 500 }));
    await rig.publish('e1');
    await eventually('both are dead', async () => (await isIn(rig, 'dead', 'e1', 'gone')) && (await isIn(rig, 'dead', 'e1', 'bad')));
    assert.match((await rig.row('e1', 'gone'))?.detail ?? '', /HTTP 410/);
    assert.match((await rig.row('e1', 'bad'))?.detail ?? '', /2 attempts failed: HTTP 500/);
    assert.equal(rig.application.callsTo('/gone').length, 1);
    assert.equal(rig.application.callsTo('/bad').length, 2);
    assert.deepEqual(await rig.deliveries.status(rig.endpointId), { waiting: 0, dead: 2 });
  });

  it('replays dead deliveries, and counts what each route delivered', async (t) => {
    const rig = await startRouterRig(t, (application) => [route('r', [target(application, 'ok'), target(application, 'bad', { ...fast, maxAttempts: 1 })])], {
      limits: { counterFlushMs: 200 },
    });
    let broken = true;
    rig.application.on('/bad', () => ({ status: broken ? 500 : 200 }));
    await rig.publish('e1', 'e2');
    await eventually('both are dead', async () => (await isIn(rig, 'dead', 'e1', 'bad')) && (await isIn(rig, 'dead', 'e2', 'bad')));
    broken = false;
    assert.equal(await rig.history.replay({ endpointId: rig.endpointId, route: 'team/r', target: 'bad', limit: 100 }), 2);
    await eventually('both succeeded', async () => (await isIn(rig, 'succeeded', 'e1', 'bad')) && (await isIn(rig, 'succeeded', 'e2', 'bad')));
    assert.equal(rig.application.callsTo('/bad').length, 4);
    assert.equal(rig.application.callsTo('/ok').length, 2);
    await eventually('it is counted', async () => (await rig.history.counts(rig.endpointId))[0]?.delivered === 4);
    const [counts] = await rig.history.counts(rig.endpointId);
    assert.deepEqual([counts?.route, counts?.died, counts?.dead, counts?.waiting, counts?.lastFailure?.reason], ['team/r', 2, 0, 0, 'bad: HTTP 500']);
    assert.ok(Math.abs((counts?.lastFailure?.at.getTime() ?? 0) - Date.now()) < 30_000);
  });

  it('sets a poison message aside as NotAnEvent', async (t) => {
    const rig = await startRouterRig(t, (application) => [route('r', [target(application, 'app')])]);
    await rig.publishRaw('m1', Buffer.from('\0\0poison'));
    await eventually('it is set aside', () => rig.bus.deadLetters.length === 1);
    assert.equal(rig.bus.deadLetters[0]?.reason, 'NotAnEvent');
    assert.equal(rig.application.calls.length, 0);
  });

  it('gives a message back while the database is away and the target fails, and delivers it in the end', async (t) => {
    const rig = await startRouterRig(t, (application) => [route('r', [target(application, 'ok'), target(application, 'app', fast)])], {
      limits: { parkPatienceMs: 500 },
      maxDeliveryCount: 100,
    });
    let broken = true;
    rig.application.on('/app', () => ({ status: broken ? 500 : 200 }));
    rig.database.shut();
    await rig.publish('e1');
    await eventually('it came again', () => rig.application.callsTo('/app').length >= 2, 20_000);
    assert.equal(rig.bus.pending.length, 1);
    rig.database.open();
    await eventually('it is put aside', () => rig.bus.pending.length === 0, 20_000);
    broken = false;
    await eventually('it succeeded', () => isIn(rig, 'succeeded', 'e1'), 20_000);
    await eventually('the other is recorded', () => isIn(rig, 'succeeded', 'e1', 'ok'), 20_000);
    assert.equal(rig.application.callsTo('/ok').length, 1);
    assert.deepEqual(rig.bus.deadLetters, []);
  });

  it('goes by a changed route within 2 s', async (t) => {
    const rig = await startRouterRig(t, (application) => [route('r', [target(application, 'old')])]);
    await rig.setRoutes([route('r', [target(rig.application, 'new')], { paths: ['/in/**'] })]);
    await delay(2000);
    await rig.publish('e1');
    await eventually('it came', () => rig.application.calls.length > 0);
    assert.deepEqual(
      rig.application.calls.map(({ path }) => path),
      ['/new'],
    );
  });
});
