import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { sql } from 'kysely';
import { createResourceRepository } from './mysql-resource-repository.ts';
import type { ResourceRepository, RouteRow, UserRow } from './resource-rows.ts';
import { openTestDatabase, type TestDatabase } from './testing/database-fixture.ts';

let test: TestDatabase;
let repository: ResourceRepository;
let names = 0;

before(async () => {
  test = await openTestDatabase();
  repository = createResourceRepository(test.database);
});
after(() => test.close());

const newEndpoint = () => repository.endpointId('team', `ep-${names++}`);

function user(username: string, changes: Partial<UserRow> = {}): UserRow {
  return {
    username,
    namespace: 'team',
    name: username,
    uid: `uid-${username}`,
    suspended: false,
    expiresAt: null,
    authorizedKeys: [{ name: 'laptop', blob: 'AAAAC3NzaC1lZDI1NTE5AAAAIFb0nQ==', expiresAt: '2030-01-01T00:00:00Z' }],
    passwordHash: '$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA',
    allowedSourceRanges: ['192.0.2.0/24'],
    home: `/${username}`,
    permissions: [{ path: '/', allow: ['List', 'Read'] }],
    ...changes,
  };
}

const route = (name: string): RouteRow => ({
  namespace: 'team',
  name,
  uid: `uid-${name}`,
  match: null,
  targets: [{ name: 'app', http: { url: 'https://app.example/in' } }],
});
const put = <Row>(row: Row) => ({ kind: 'put' as const, row });
const remove = (key: string) => ({ kind: 'delete' as const, key });

describe('resource repository', () => {
  it('gives an endpoint one number, however many ask at once', async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => repository.endpointId('team', 'same')));
    assert.equal(new Set(ids).size, 1);
    assert.notEqual(await repository.endpointId('other', 'same'), ids[0]);
    assert.ok((await repository.endpoints()).some((endpoint) => endpoint.id === ids[0] && endpoint.name === 'same'));
  });

  it('gives back users as they were written', async () => {
    const endpoint = await newEndpoint();
    const rows = [
      user('anna'),
      user('bert', { passwordHash: null, allowedSourceRanges: null, permissions: null, suspended: true }),
      user('carl', { allowedSourceRanges: [] }),
    ];
    await repository.applyUsers(endpoint, rows.map(put));
    assert.deepEqual(await repository.users(endpoint), rows);
    assert.deepEqual(await repository.findUser(endpoint, 'bert'), rows[1]);
    assert.equal(await repository.findUser(endpoint, 'Anna'), undefined);
    assert.equal(await repository.findUser(endpoint, 'anna '), undefined);
  });

  it('shows a reader what changed since its revision, and what went', async () => {
    const endpoint = await newEndpoint();
    await repository.applyUsers(endpoint, [put(user('anna')), put(user('bert'))]);
    const first = await repository.usersSince(endpoint, 0n);
    assert.equal(first.revision, 1n);
    assert.equal(first.changed.length, 2);
    assert.deepEqual(await repository.usersSince(endpoint, 1n), { revision: 1n, changed: [], deleted: [] });
    await repository.applyUsers(endpoint, [put(user('anna', { suspended: true })), remove('bert'), remove('nobody')]);
    const second = await repository.usersSince(endpoint, first.revision);
    assert.deepEqual(second, { revision: 2n, changed: [user('anna', { suspended: true })], deleted: ['bert'] });
    assert.deepEqual((await repository.usersSince(endpoint, 0n)).deleted, []);
    await repository.applyUsers(endpoint, [put(user('bert'))]);
    assert.deepEqual((await repository.usersSince(endpoint, second.revision)).changed, [user('bert')]);
    assert.equal(await repository.revision(endpoint), 3n);
  });

  it('keeps no secret of a deleted user', async () => {
    const endpoint = await newEndpoint();
    await repository.applyUsers(endpoint, [put(user('anna'))]);
    await repository.applyUsers(endpoint, [remove('anna')]);
    const rows = await test.database.queries.selectFrom('users').selectAll().where('endpoint_id', '=', endpoint).execute();
    assert.equal(rows.length, 1);
    assert.ok(!JSON.stringify(rows).includes('argon2'));
  });

  it('bumps no revision for nothing', async () => {
    const endpoint = await newEndpoint();
    await repository.applyUsers(endpoint, []);
    await repository.applyRoutes(endpoint, []);
    assert.equal(await repository.revision(endpoint), 0n);
  });

  it('keeps routes with their tombstones', async () => {
    const endpoint = await newEndpoint();
    await repository.applyRoutes(endpoint, [put(route('a')), put(route('b'))]);
    assert.deepEqual(await repository.routes(endpoint), [route('a'), route('b')]);
    const { revision } = await repository.routesSince(endpoint, 0n);
    await repository.applyRoutes(endpoint, [remove('team/a')]);
    assert.deepEqual(await repository.routesSince(endpoint, revision), { revision: 2n, changed: [], deleted: ['team/a'] });
    assert.deepEqual(await repository.routes(endpoint), [route('b')]);
  });

  it('tells a reader that was away too long to start over', async () => {
    const endpoint = await newEndpoint();
    await repository.applyUsers(endpoint, [put(user('anna')), put(user('bert'))]);
    await repository.applyUsers(endpoint, [remove('anna')]);
    await test.database.queries
      .updateTable('users')
      .set({ deleted_at: sql<Date>`UTC_TIMESTAMP(3) - INTERVAL 30 DAY` })
      .where('username', '=', 'anna')
      .where('endpoint_id', '=', endpoint)
      .execute();
    await repository.applyUsers(endpoint, [put(user('carl'))]);
    const rows = await test.database.queries.selectFrom('users').select('username').where('endpoint_id', '=', endpoint).orderBy('username').execute();
    assert.deepEqual(
      rows.map((row) => row.username),
      ['bert', 'carl'],
      'the tombstone is gone',
    );
    await assert.rejects(repository.usersSince(endpoint, 1n), { code: 'conflict', vendorCode: 'REVISION_UNKNOWN' });
    assert.equal((await repository.usersSince(endpoint, 2n)).changed.length, 1);
    await assert.rejects(repository.usersSince(endpoint, 99n), { code: 'conflict' }, 'and a reader from before a restore');
    assert.equal((await repository.usersSince(endpoint, 0n)).changed.length, 2);
  });

  it('never hides a row from a reader that polls while four writers write', async () => {
    const endpoint = await newEndpoint();
    const seen = new Map<string, UserRow>();
    let since = 0n;
    const poll = async () => {
      const changes = await repository.usersSince(endpoint, since);
      for (const row of changes.changed) seen.set(row.username, row);
      for (const key of changes.deleted) seen.delete(key);
      since = changes.revision;
    };
    let writing = true;
    const reading = (async () => {
      while (writing) await poll();
    })();
    await Promise.all(
      [0, 1, 2, 3].map(async (writer) => {
        for (let round = 0; round < 40; round++) {
          const steps = Array.from({ length: 5 }, (_, index) => {
            const name = `u${writer}-${(round * 3 + index) % 12}`;
            return (round + index) % 4 === 0 ? remove(name) : put(user(name, { home: `/${round}` }));
          });
          await repository.applyUsers(endpoint, steps);
        }
      }),
    );
    writing = false;
    await reading;
    await poll();
    const expected = await repository.users(endpoint);
    assert.deepEqual(
      [...seen.values()].sort((a, b) => (a.username < b.username ? -1 : 1)),
      expected,
    );
    assert.equal(since, 160n, 'every write has its own revision');
  });

  it('writes 4,000 users in one revision, fast enough for a cold start', async () => {
    const endpoint = await newEndpoint();
    const users = Array.from({ length: 4_000 }, (_, index) => user(`user-${String(index).padStart(5, '0')}`));
    const startedAt = performance.now();
    await repository.applyUsers(endpoint, users.map(put));
    const tookMs = performance.now() - startedAt;
    assert.equal((await repository.usersSince(endpoint, 0n)).changed.length, 4_000);
    assert.equal(await repository.revision(endpoint), 1n);
    // A second alone on the machine; other tests share it.
    assert.ok(tookMs < 5_000, `${tookMs} ms`);
    await repository.applyUsers(
      endpoint,
      users.map((row) => remove(row.username)),
    );
    assert.deepEqual(await repository.users(endpoint), []);
  });

  it('refuses an endpoint that it does not know', async () => {
    await assert.rejects(repository.applyUsers(999_999, [put(user('anna'))]), { code: 'notFound' });
  });
});
