import type { Fence } from '@skiff/kube/kube-client';
import type { RowRepository } from '@skiff/operator/operator';

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
