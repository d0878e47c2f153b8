import type { Database } from '@skiff/database/connect';
import type { Fence } from '@skiff/kube/kube-client';
import { NOBODY_LEADS_MS } from '@skiff/kube/leader-election';
import type { RowRepository } from '@skiff/operator/operator';

/**
 * How long the operator's sessions with the database may be silent, ms. Who leads may begin and end a transaction until this and a second
 * before another can lead; suspended in between, it finds the transaction rolled back.
 */
export const ABANDONED_AFTER_MS = NOBODY_LEADS_MS - 1_000;

/** Transactions that only the leader begins and only the leader commits; for a database opened with {@link ABANDONED_AFTER_MS}. */
export function fencedDatabase(database: Database, fence: Fence): Database {
  return {
    ...database,
    transaction: (work, options) =>
      database.transaction(async (trx) => {
        fence.assertHeld();
        const result = await work(trx);
        // Waiting for a lock may have taken longer than the lease lasts.
        fence.assertHeld();
        return result;
      }, options),
  };
}

/** Rows that only the leader writes. Reads are anybody's. */
export function fencedRepository(repository: RowRepository, fence: Fence): RowRepository {
  const guarded = async <Result>(write: () => Promise<Result>): Promise<Result> => {
    fence.assertHeld();
    return write();
  };
  return {
    endpoints: () => repository.endpoints(),
    users: (endpointId) => repository.users(endpointId),
    routes: (endpointId) => repository.routes(endpointId),
    // Makes a number for an endpoint that has none yet.
    endpointId: (namespace, name) => guarded(() => repository.endpointId(namespace, name)),
    applyUsers: (endpointId, steps) => guarded(() => repository.applyUsers(endpointId, steps)),
    applyRoutes: (endpointId, steps) => guarded(() => repository.applyRoutes(endpointId, steps)),
  };
}
