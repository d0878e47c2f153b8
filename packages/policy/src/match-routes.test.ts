import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FileEvent } from '@skiff/model/file-event';
import type { RouteRow } from '@skiff/model/resource-rows';
import { matchRoutes } from './match-routes.ts';

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
  return matchRoutes(routes, what).map(({ route: { name }, target }) => `${name}/${target.name}`);
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

  it('takes usernames literally', () => {
    assert.deepEqual(matched([route('r', { usernames: ['ann'] }), route('s', { usernames: ['Anna'] }), route('t', { usernames: ['*'] })]), []);
  });

  it('sends messages that are no events of ours only where nothing is asked', () => {
    const routes = [route('all', null), route('empty', {}), route('types', { types: ['dev.skiff.file.uploaded'] }), route('paths', { paths: ['/**'] })];
    assert.deepEqual(
      matchRoutes(routes, undefined).map((match) => match.route.name),
      ['all', 'empty'],
    );
  });
});
