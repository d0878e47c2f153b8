import { sql } from 'kysely';
import type { Database } from '../connect.ts';
import type { Changes, RouteRow, RowStep } from '../resource-rows.ts';
import { parseRouteRow } from './parse-rows.ts';
import { chunksOf, NOW, revisionToRead, withNextRevision } from './revision.ts';

const NOTHING = '{}';

/** Keys of routes are `namespace/name`. */
export async function applyRoutes(database: Database, endpointId: number, steps: readonly RowStep<RouteRow, string>[]): Promise<void> {
  if (steps.length === 0) return;
  const last = new Map(steps.map((step) => [step.kind === 'put' ? keyOf(step.row) : step.key, step]));
  const puts = [...last.values()].flatMap((step) => (step.kind === 'put' ? [step.row] : []));
  const deletes = [...last.values()].flatMap((step) => (step.kind === 'delete' ? [step.key] : []));
  await withNextRevision(database, endpointId, async (trx, revision) => {
    for (const chunk of chunksOf(puts)) {
      await trx
        .insertInto('routes')
        .values(chunk.map((row) => ({ endpoint_id: endpointId, namespace: row.namespace, name: row.name, revision, spec: JSON.stringify(row) })))
        .onDuplicateKeyUpdate({ revision, spec: sql`VALUES(spec)`, deleted_at: null })
        .execute();
    }
    for (const chunk of chunksOf(deletes)) {
      await trx
        .updateTable('routes')
        .set({ deleted_at: NOW, revision, spec: NOTHING })
        .where('endpoint_id', '=', endpointId)
        .where((where) =>
          where.or(
            chunk.map((key) => {
              const [namespace = '', name = ''] = key.split('/');
              return where.and([where('namespace', '=', namespace), where('name', '=', name)]);
            }),
          ),
        )
        .where('deleted_at', 'is', null)
        .execute();
    }
  });
}

export async function readRoutes(database: Database, endpointId: number): Promise<readonly RouteRow[]> {
  const rows = await database.repeatable((queries) =>
    queries
      .selectFrom('routes')
      .select('spec')
      .where('endpoint_id', '=', endpointId)
      .where('deleted_at', 'is', null)
      .orderBy('namespace')
      .orderBy('name')
      .execute(),
  );
  return rows.map((row) => parseRouteRow(row.spec));
}

export function routesSince(database: Database, endpointId: number, since: bigint): Promise<Changes<RouteRow, string>> {
  return database.repeatable(async (queries) => {
    const revision = await revisionToRead(queries, endpointId, since);
    if (revision === undefined) return { revision: since, changed: [], deleted: [] };
    let select = queries.selectFrom('routes').select(['namespace', 'name', 'spec', 'deleted_at']).where('endpoint_id', '=', endpointId);
    select = since === 0n ? select.where('deleted_at', 'is', null) : select.where('revision', '>', since.toString());
    const rows = await select.execute();
    return {
      revision,
      changed: rows.filter((row) => row.deleted_at === null).map((row) => parseRouteRow(row.spec)),
      deleted: rows.filter((row) => row.deleted_at !== null).map(keyOf),
    };
  });
}

function keyOf(row: { readonly namespace: string; readonly name: string }): string {
  return `${row.namespace}/${row.name}`;
}
