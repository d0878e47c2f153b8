import { sql } from 'kysely';
import type { Database } from '../connect.ts';
import type { Changes, RowStep, UserRow } from '../resource-rows.ts';
import { parseUserRow } from './parse-rows.ts';
import { chunksOf, NOW, revisionToRead, withNextRevision } from './revision.ts';

/** A deleted user keeps nothing but its name: no key, no hash. */
const NOTHING = '{}';

export async function applyUsers(database: Database, endpointId: number, steps: readonly RowStep<UserRow, string>[]): Promise<void> {
  if (steps.length === 0) return;
  // Of several steps for one user the last counts.
  const last = new Map(steps.map((step) => [step.kind === 'put' ? step.row.username : step.key, step]));
  const puts = [...last.values()].flatMap((step) => (step.kind === 'put' ? [step.row] : []));
  const deletes = [...last.values()].flatMap((step) => (step.kind === 'delete' ? [step.key] : []));
  await withNextRevision(database, endpointId, async (trx, revision) => {
    for (const chunk of chunksOf(puts)) {
      await trx
        .insertInto('users')
        .values(
          chunk.map((row) => ({
            endpoint_id: endpointId,
            username: row.username,
            revision,
            namespace: row.namespace,
            name: row.name,
            uid: row.uid,
            spec: JSON.stringify(row),
          })),
        )
        .onDuplicateKeyUpdate({
          revision,
          namespace: sql`VALUES(namespace)`,
          name: sql`VALUES(name)`,
          uid: sql`VALUES(uid)`,
          spec: sql`VALUES(spec)`,
          deleted_at: null,
        })
        .execute();
    }
    for (const chunk of chunksOf(deletes)) {
      await trx
        .updateTable('users')
        .set({ deleted_at: NOW, revision, spec: NOTHING })
        .where('endpoint_id', '=', endpointId)
        .where('username', 'in', chunk)
        .where('deleted_at', 'is', null)
        .execute();
    }
  });
}

export async function readUsers(database: Database, endpointId: number): Promise<readonly UserRow[]> {
  const rows = await database.repeatable((queries) =>
    queries.selectFrom('users').select('spec').where('endpoint_id', '=', endpointId).where('deleted_at', 'is', null).orderBy('username').execute(),
  );
  return rows.map((row) => parseUserRow(row.spec));
}

export async function findUser(database: Database, endpointId: number, username: string): Promise<UserRow | undefined> {
  const row = await database.repeatable((queries) =>
    queries
      .selectFrom('users')
      .select(['username', 'spec'])
      .where('endpoint_id', '=', endpointId)
      .where('username', '=', username)
      .where('deleted_at', 'is', null)
      .executeTakeFirst(),
  );
  // `utf8mb4_bin` pads: `anna ` would find `anna`.
  return row === undefined || row.username !== username ? undefined : parseUserRow(row.spec);
}

export function usersSince(database: Database, endpointId: number, since: bigint): Promise<Changes<UserRow, string>> {
  return database.repeatable(async (queries) => {
    const revision = await revisionToRead(queries, endpointId, since);
    if (revision === undefined) return { revision: since, changed: [], deleted: [] };
    let select = queries.selectFrom('users').select(['username', 'spec', 'deleted_at']).where('endpoint_id', '=', endpointId);
    // A row that a later writer has changed meanwhile comes now and once more with the next poll.
    select = since === 0n ? select.where('deleted_at', 'is', null) : select.where('revision', '>', since.toString());
    const rows = await select.execute();
    return {
      revision,
      changed: rows.filter((row) => row.deleted_at === null).map((row) => parseUserRow(row.spec)),
      deleted: rows.filter((row) => row.deleted_at !== null).map((row) => row.username),
    };
  });
}
