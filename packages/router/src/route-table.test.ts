import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { RouteRow } from '@skiff/model/resource-rows';
import { StoreError } from '@skiff/model/store-error';
import { silentLogger } from '@skiff/runtime/logger';
import { createRouteTable } from './route-table.ts';
import { eventually, httpTarget, routeRow } from './router-rig.fake.ts';

type Answer = { readonly revision: bigint; readonly changed: readonly RouteRow[]; readonly deleted: readonly string[] };

function rig(t: TestContext) {
  const asked: bigint[] = [];
  const state: { next: Answer | undefined; revision: bigint; down: boolean } = { next: undefined, revision: 0n, down: false };
  const table = createRouteTable({
    endpointId: 1,
    logger: silentLogger,
    pollMs: 5,
    resources: {
      async routesSince(_endpointId, since) {
        if (state.down) throw new StoreError({ code: 'unavailable', message: 'down' });
        asked.push(since);
        const answer = state.next ?? { revision: state.revision, changed: [], deleted: [] };
        state.revision = answer.revision;
        state.next = undefined;
        return answer;
      },
    },
  });
  t.after(() => table.stop());
  const names = () => table.current().map(({ name }) => name);
  return { asked, state, table, names };
}

describe('route table', () => {
  it('follows changes from the revision it has', async (t) => {
    const { asked, state, table, names } = rig(t);
    const changes: number[] = [];
    table.onChange((routes) => changes.push(routes.length));
    state.next = { revision: 4n, changed: [routeRow('a', [httpTarget('x')]), routeRow('b', [httpTarget('x')])], deleted: [] };
    await table.start();
    assert.deepEqual(names(), ['a', 'b']);
    state.next = { revision: 6n, changed: [routeRow('c', [httpTarget('x')])], deleted: ['team/a'] };
    await eventually('it changes', () => names().join() === 'b,c');
    await eventually('it asks from there', () => asked.at(-1) === 6n);
    assert.deepEqual(changes, [2, 2]);
    assert.equal(asked[0], 0n);
  });

  it('waits for the first read, and keeps what it knows when the database goes away', async (t) => {
    const { state, table, names } = rig(t);
    state.down = true;
    const started = table.start();
    await new Promise((resolve) => setTimeout(resolve, 30));
    state.next = { revision: 1n, changed: [routeRow('a', [httpTarget('x')])], deleted: [] };
    state.down = false;
    await started;
    state.down = true;
    await assert.rejects(table.refresh(), StoreError);
    assert.deepEqual(names(), ['a']);
  });

  it('leaves out a route with a damaged path, and only that', async (t) => {
    const { state, table, names } = rig(t);
    state.next = { revision: 1n, changed: [routeRow('bad', [httpTarget('x')], { paths: [''] }), routeRow('good', [httpTarget('x')])], deleted: [] };
    await table.start();
    assert.deepEqual(names(), ['good']);
  });

  it('does not keep its caller waiting when it is stopped before the first read', async (t) => {
    const { state, table } = rig(t);
    state.down = true;
    const started = table.start();
    await table.stop();
    await assert.rejects(started);
  });
});
