import { sql } from 'kysely';
import type { Database } from './connect.ts';
import type { ResourceRepository } from './resource-rows.ts';
import { readRevision } from './resources/revision.ts';
import { applyRoutes, readRoutes, routesSince } from './resources/route-rows.ts';
import { applyUsers, findUser, readUsers, usersSince } from './resources/user-rows.ts';

export function createResourceRepository(database: Database): ResourceRepository {
  return {
    endpointId: (namespace, name) => endpointId(database, namespace, name),
    endpoints: () => database.repeatable((queries) => queries.selectFrom('endpoints').select(['id', 'namespace', 'name']).orderBy('id').execute()),
    users: (endpoint) => readUsers(database, endpoint),
    applyUsers: (endpoint, steps) => applyUsers(database, endpoint, steps),
    usersSince: (endpoint, since) => usersSince(database, endpoint, since),
    findUser: (endpoint, username) => findUser(database, endpoint, username),
    routes: (endpoint) => readRoutes(database, endpoint),
    applyRoutes: (endpoint, steps) => applyRoutes(database, endpoint, steps),
    routesSince: (endpoint, since) => routesSince(database, endpoint, since),
    revision: async (endpoint) => (await database.repeatable((queries) => readRevision(queries, endpoint))).revision,
  };
}

function endpointId(database: Database, namespace: string, name: string): Promise<number> {
  return database.repeatable(async (queries) => {
    const found = await queries.selectFrom('endpoints').select('id').where('namespace', '=', namespace).where('name', '=', name).executeTakeFirst();
    if (found !== undefined) return found.id;
    const made = await queries
      .insertInto('endpoints')
      .values({ namespace, name })
      // Somebody else was faster: this reports the id of that row.
      .onDuplicateKeyUpdate({ id: sql`LAST_INSERT_ID(id)` })
      .executeTakeFirstOrThrow();
    return Number(made.insertId);
  });
}
