import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FileEvent } from '@skiff/model/file-event';
import type { LoginEvent } from '@skiff/model/login-event';
import type { RouteRow } from '@skiff/model/resource-rows';
import { explainRoutes, matchRoutes } from './match-routes.ts';

const event: FileEvent = {
  specversion: '1.0',
  id: 'skf-1',
  source: '/skiff/team/main',
  type: 'dev.skiff.file.uploaded',
  subject: 'anna/in/a.csv',
  time: '2026-01-01T00:00:00Z',
  datacontenttype: 'application/json',
  data: {
    operationId: '1',
    endpoint: { namespace: 'team', name: 'main' },
    username: 'anna',
    path: '/in/a.csv',
    blob: { container: 'c', name: 'anna/in/a.csv', url: 'https://x' },
  },
};

function route(name: string, match: RouteRow['match'], targets: readonly string[] = ['app']): RouteRow {
  return { namespace: 'team', name, uid: name, match, targets: targets.map((target) => ({ name: target, http: { url: 'https://x/' } })) };
}

function matched(routes: readonly RouteRow[], what: FileEvent | undefined = event): readonly string[] {
  return matchRoutes(routes, { event: what, json: what ?? { kind: 'order', n: 3 }, sizeBytes: 200 }).map(
    ({ route: { name }, target }) => `${name}/${target.name}`,
  );
}

describe('matchRoutes', () => {
  it('gives every target of every route that takes the event, in order', () => {
    assert.deepEqual(matched([route('b', null, ['x', 'y']), route('a', {}), route('c', { usernames: ['ben'] })]), ['b/x', 'b/y', 'a/app']);
  });

  it('asks that all given conditions hold, and one value of each', () => {
    const fits = { types: ['other', 'dev.skiff.file.uploaded'], usernames: ['ben', 'anna'], paths: ['/out/**', '/in/*.csv'] };
    assert.deepEqual(matched([route('r', fits)]), ['r/app']);
    for (const key of ['types', 'usernames', 'paths'] as const) assert.deepEqual(matched([route('r', { ...fits, [key]: ['/nothing'] })]), [], key);
  });

  it('matches logins by type, user and expression, and never by a path', () => {
    const login: LoginEvent = {
      ...event,
      type: 'dev.skiff.login.failed',
      subject: 'anna',
      data: { endpoint: event.data.endpoint, username: 'anna', clientAddress: '192.0.2.1', method: 'Password', reason: 'PasswordWrong' },
    };
    const wrong = 'event.data.reason == "PasswordWrong"';
    const routes = [
      route('type', { types: ['dev.skiff.login.failed'], usernames: ['anna'], expression: wrong }),
      route('path', { paths: ['**', '/**', '*'] }),
      route('other', { types: ['dev.skiff.login.succeeded'] }),
      route('file', { expression: 'event.data.path.startsWith("/")' }),
    ];
    const message = { event: login, json: login, sizeBytes: 200 };
    assert.deepEqual(
      matchRoutes(routes, message).map((match) => match.route.name),
      ['type'],
    );
    assert.deepEqual(explainRoutes(routes, message)[1]?.reasons, ['match.paths is given, and a login has no path']);
  });

  it('takes usernames literally', () => {
    assert.deepEqual(matched([route('r', { usernames: ['ann'] }), route('s', { usernames: ['Anna'] }), route('t', { usernames: ['*'] })]), []);
  });

  it('sends messages that are no events of ours only where nothing is asked', () => {
    const routes = [route('all', null), route('empty', {}), route('types', { types: ['dev.skiff.file.uploaded'] }), route('paths', { paths: ['/**'] })];
    const foreign = { event: undefined, json: { kind: 'order', n: 3 }, sizeBytes: 20 };
    assert.deepEqual(
      matchRoutes(routes, foreign).map((match) => match.route.name),
      ['all', 'empty'],
    );
  });

  it('asks the expression about events, and about the bodies of foreign messages', () => {
    const big = route('big', { expression: 'event.data.sizeBytes > 1000' });
    const order = route('order', { expression: 'body.kind == "order" && body.n == 3' });
    const both = route('both', { expression: 'has(event.id) && event.data.username == "anna"', paths: ['/in/**'] });
    assert.deepEqual(matched([big, order, both], { ...event, data: { ...event.data, sizeBytes: 1001 } }), ['big/app', 'both/app']);
    assert.deepEqual(matched([big, order, both], event), ['both/app']);
    assert.deepEqual(
      matchRoutes([big, order, both], { event: undefined, json: { kind: 'order', n: 3 }, sizeBytes: 20 }).map((match) => match.route.name),
      ['order'],
    );
  });
});

describe('explainRoutes', () => {
  it('says which targets would get the event, and every reason why others would not', () => {
    const routes = [
      route('all', null, ['x', 'y']),
      route('none', { types: ['t'], usernames: ['ben'], paths: ['/out/**'], expression: 'event.data.sizeBytes > 1' }),
      route('false', { expression: 'event.data.username == "ben"' }),
    ];
    const explained = explainRoutes(routes, { event, json: event, sizeBytes: 300 });
    assert.deepEqual(explained[0], { route: 'team/all', taken: true, reasons: [], targets: ['x', 'y'] });
    assert.equal(explained[1]?.taken, false);
    assert.deepEqual(explained[1]?.reasons, [
      'match.types does not list dev.skiff.file.uploaded',
      'match.usernames does not list anna',
      'match.paths has no glob for /in/a.csv',
      'match.expression cannot be evaluated: No such key: sizeBytes',
    ]);
    assert.deepEqual(explained[2]?.reasons, ['match.expression is false']);
  });

  it('agrees with matchRoutes, for events and for foreign messages', () => {
    const conditions: RouteRow['match'][] = [
      null,
      {},
      { types: [event.type] },
      { expression: 'body.n == 3' },
      { expression: 'event.id == "skf-1"' },
      { paths: ['/x'] },
    ];
    const routes = conditions.map((match, index) => route(`r${index}`, match));
    for (const message of [
      { event, json: event, sizeBytes: 300 },
      { event: undefined, json: { n: 3 }, sizeBytes: 7 },
      { event: undefined, json: null, sizeBytes: 4 },
    ]) {
      const taken = explainRoutes(routes, message).filter((each) => each.taken);
      assert.deepEqual(
        taken.map((each) => each.route),
        matchRoutes(routes, message).map((match) => `team/${match.route.name}`),
      );
    }
  });
});
