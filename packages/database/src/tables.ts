import type { Generated } from 'kysely';

/** BIGINTs are read as decimal strings, so that none is rounded; they may be written as either. */
type BigIntColumn = string;

interface EndpointsTable {
  id: Generated<number>;
  namespace: string;
  name: string;
  /** Of the last change to a user or route. */
  revision: Generated<BigIntColumn>;
  /** Newest revision among the tombstones that are gone: who has read less than this must read everything again. */
  pruned_revision: Generated<BigIntColumn>;
}

interface UsersTable {
  endpoint_id: number;
  username: string;
  revision: BigIntColumn;
  namespace: string;
  name: string;
  uid: string;
  /** The row as JSON (`UserRow`). */
  spec: string;
  deleted_at: Date | null;
}

interface RoutesTable {
  endpoint_id: number;
  namespace: string;
  name: string;
  revision: BigIntColumn;
  /** The row as JSON (`RouteRow`). */
  spec: string;
  deleted_at: Date | null;
}

export interface OperationsTable {
  id: Buffer;
  kind: string;
  state: string;
  epoch: number;
  owner: string | null;
  endpoint_id: number;
  username: string;
  storage: string;
  blob_name: string;
  target_blob_name: string | null;
  prior_etag: string | null;
  /** What the effect needs (`plan-codec`); the event is apart, so that a relay never reads block lists. */
  plan: Buffer | null;
  event: Buffer | null;
  sequence: BigIntColumn | null;
  result_etag: string | null;
  unconfirmed: number | null;
  reason: string | null;
  claim_owner: string | null;
  claim_until: Date | null;
  /** Tells an adoption whose outcome was unknown from somebody else's. */
  adoption: Buffer | null;
  created_at: Date;
  updated_at: Date;
  finished_at: Date | null;
}

interface OperationLocksTable {
  lock_key: Buffer;
  operation_id: Buffer;
}

/** Aborted operations that are looked for again. */
interface OperationLooksTable {
  operation_id: Buffer;
  endpoint_id: number;
  look_at: Date;
  looks: Generated<number>;
}

/** Directory renames that have begun to move files. */
interface DirectoryRenamesTable {
  operation_id: Buffer;
  /** Files so far. */
  moved: number;
  started_at: Date;
  updated_at: Date;
}

interface EventSequenceTable {
  id: Generated<BigIntColumn>;
}

interface InstancesTable {
  id: string;
  mode: string;
  renewals: BigIntColumn;
  registered_at: Date;
  renewed_at: Date;
}

interface DeliveriesTable {
  endpoint_id: number;
  /** SHA-256 of the event's id: other systems' ids have any length and any characters. */
  event_key: Buffer;
  route: string;
  target: string;
  event_id: string;
  state: string;
  attempt: number;
  /** When it may be tried; a claim moves it on by its lease. Null once it is settled. */
  due_at: Date | null;
  claim_owner: string | null;
  /** Why it waits or is dead, or what the target answered. */
  detail: string;
  body: Buffer | null;
  content_type: string | null;
  created_at: Date;
  updated_at: Date;
}

interface DeliveryOrderTable {
  endpoint_id: number;
  event_key: Buffer;
  route: string;
  target: string;
  /** What is kept in order: SHA-256 of the session's id. */
  order_key: Buffer;
  sequence: BigIntColumn;
  created_at: Date;
}

interface RouteCountersTable {
  endpoint_id: number;
  route: string;
  delivered: BigIntColumn;
  dead: BigIntColumn;
  last_delivered_at: Date | null;
}

interface RouteFailuresTable {
  endpoint_id: number;
  route: string;
  last_failed_at: Date;
  reason: string;
}

interface SchemaMigrationsTable {
  version: number;
  name: string;
  /** The oldest program version's schema that still works with this one: what a running process compares itself with. */
  compatible_from: number;
  applied_at: Date;
}

export interface Tables {
  endpoints: EndpointsTable;
  users: UsersTable;
  routes: RoutesTable;
  operations: OperationsTable;
  operation_locks: OperationLocksTable;
  operation_looks: OperationLooksTable;
  directory_renames: DirectoryRenamesTable;
  event_sequence: EventSequenceTable;
  instances: InstancesTable;
  deliveries: DeliveriesTable;
  delivery_order: DeliveryOrderTable;
  route_counters: RouteCountersTable;
  route_failures: RouteFailuresTable;
  schema_migrations: SchemaMigrationsTable;
}
