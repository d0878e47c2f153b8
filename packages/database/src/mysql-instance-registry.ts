import { sql } from 'kysely';
import type { Database } from './connect.ts';
import type { InstanceRegistry } from './operation-log.ts';
import { toInstanceId } from './operations/operation-row.ts';

/** Rows of processes that ended without a word. Far above any lease, so that no jump of the database's clock ends a living one. */
const FORGET_AFTER_DAYS = 7;

const NOW = sql<Date>`UTC_TIMESTAMP(3)`;

export function createInstanceRegistry(database: Database): InstanceRegistry {
  return {
    async register(id, mode) {
      await database.repeatable(async (queries) => {
        await queries
          .deleteFrom('instances')
          .where('renewed_at', '<', sql<Date>`UTC_TIMESTAMP(3) - INTERVAL ${sql.lit(FORGET_AFTER_DAYS)} DAY`)
          .execute();
        await queries
          .insertInto('instances')
          .values({ id, mode, renewals: '0', registered_at: NOW, renewed_at: NOW })
          // The counter never goes back, so that watchers see an instance that registers again as alive.
          .onDuplicateKeyUpdate({ mode, renewals: sql`renewals + 1`, renewed_at: NOW })
          .execute();
      });
    },
    async renew(id) {
      const result = await database.repeatable((queries) =>
        queries.updateTable('instances').set({ renewals: sql`renewals + 1`, renewed_at: NOW }).where('id', '=', id).executeTakeFirst(),
      );
      return result.numUpdatedRows === 1n;
    },
    async list() {
      const rows = await database.repeatable((queries) => queries.selectFrom('instances').select(['id', 'renewals']).orderBy('id').execute());
      return rows.map((row) => ({ id: toInstanceId(row.id), renewals: BigInt(row.renewals) }));
    },
    async remove(id) {
      await database.repeatable((queries) => queries.deleteFrom('instances').where('id', '=', id).execute());
    },
  };
}
