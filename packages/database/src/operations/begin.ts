import { StoreError } from '@skiff/model/store-error';
import type { OperationId } from '@skiff/model/upload-state';
import { toOperationId } from '@skiff/model/upload-state';
import { sql, type Transaction } from 'kysely';
import type { Database } from '../connect.ts';
import type { BeginResult, OperationIntent, OperationRow } from '../operation-log.ts';
import type { Tables } from '../tables.ts';
import { idBytes, ROW_COLUMNS, toOperationRow } from './operation-row.ts';
import type { EncodedPlan } from './plan-codec.ts';
import { storedKindOf } from './stored-kind.ts';
import { drawSequences } from './transition.ts';

export interface BeginCall {
  readonly intent: OperationIntent;
  /** Absent: the row starts as `open`. */
  readonly plan: EncodedPlan | undefined;
  /** Lock keys in hexadecimal, without repetitions, sorted. */
  readonly keys: readonly string[];
}

export const FIRST_EPOCH = 1;

/**
 * Takes the locks of many operations and writes their rows, in one transaction. Of several calls for one key the first wins.
 * Safe to run again when it is unknown whether it took effect.
 */
export async function beginAll(database: Database, calls: readonly BeginCall[]): Promise<readonly BeginResult[]> {
  const held = await database.repeatable((queries) =>
    readLocks(
      queries,
      calls.flatMap((call) => call.keys),
    ),
  );
  const candidates = withoutConflicts(calls.filter((call) => call.keys.every((key) => !held.has(key))));
  const begun = candidates.length === 0 ? new Map<OperationId, BeginResult>() : await insertAll(database, candidates);
  const rest = calls.filter((call) => !begun.has(call.intent.id));
  const holders =
    rest.length === 0
      ? new Map<string, OperationRow>()
      : await readHolders(
          database,
          rest.flatMap((call) => call.keys),
        );
  return calls.map((call) => begun.get(call.intent.id) ?? refusedOrRepeated(call, holders));
}

/** Calls in order, each only when it shares no key with one before it. */
function withoutConflicts(calls: readonly BeginCall[]): readonly BeginCall[] {
  const taken = new Set<string>();
  return calls.filter((call) => {
    if (call.keys.some((key) => taken.has(key))) return false;
    for (const key of call.keys) taken.add(key);
    return true;
  });
}

async function insertAll(database: Database, calls: readonly BeginCall[]): Promise<Map<OperationId, BeginResult>> {
  try {
    return await database.transaction((trx) => insertRows(trx, calls));
  } catch (error) {
    // The id exists although its locks are free: a repetition of a call whose operation has ended meanwhile.
    if (calls.length === 1 && error instanceof StoreError && error.code === 'alreadyExists') return new Map();
    throw error;
  }
}

async function insertRows(trx: Transaction<Tables>, calls: readonly BeginCall[]): Promise<Map<OperationId, BeginResult>> {
  const winners = await takeLocks(trx, calls);
  const planned = winners.filter((call) => call.plan !== undefined);
  const sequences = await drawSequences(trx, planned.length);
  const sequenceOf = new Map(planned.map((call, index) => [call.intent.id, sequences[index]]));
  if (winners.length > 0) {
    await trx
      .insertInto('operations')
      .values(winners.map((call) => toInsert(call, sequenceOf.get(call.intent.id))))
      .execute();
  }
  return new Map(winners.map(({ intent }) => [intent.id, { kind: 'begun', epoch: FIRST_EPOCH, sequence: sequenceOf.get(intent.id) ?? null }]));
}

function toInsert({ intent, plan }: BeginCall, sequence: bigint | undefined) {
  const now = sql<Date>`UTC_TIMESTAMP(3)`;
  return {
    id: idBytes(intent.id),
    kind: storedKindOf(intent.kind),
    state: plan === undefined ? 'open' : 'committing',
    epoch: FIRST_EPOCH,
    owner: intent.owner,
    endpoint_id: intent.endpointId,
    username: intent.username,
    storage: intent.storage,
    blob_name: intent.blobName,
    target_blob_name: intent.targetBlobName ?? null,
    prior_etag: intent.priorEtag,
    // What a directory rename has to do is read from the store, again and again.
    plan: intent.kind === 'renamedir' ? null : (plan?.plan ?? null),
    event: plan?.event ?? null,
    sequence: sequence?.toString() ?? null,
    created_at: now,
    updated_at: now,
  };
}

interface Claimant {
  readonly intent: { readonly id: OperationId };
  readonly keys: readonly string[];
}

/** Inserts all keys in one order; whoever lost one of its keys gives the others back. Returns who has all of them. */
export async function takeLocks<Call extends Claimant>(trx: Transaction<Tables>, calls: readonly Call[]): Promise<readonly Call[]> {
  const wanted = calls.flatMap(({ intent, keys }) => keys.map((key) => ({ key, lock_key: Buffer.from(key, 'hex'), operation_id: idBytes(intent.id) })));
  if (wanted.length === 0) return calls;
  wanted.sort((a, b) => (a.key < b.key ? -1 : 1));
  const inserted = await trx
    .insertInto('operation_locks')
    .values(wanted.map(({ lock_key, operation_id }) => ({ lock_key, operation_id })))
    // Unlike INSERT IGNORE, which shares the lock on a row that exists, so that two of them wait for each other.
    .onDuplicateKeyUpdate({ lock_key: sql`lock_key` })
    .executeTakeFirstOrThrow();
  if (inserted.numInsertedOrUpdatedRows === BigInt(wanted.length)) return calls;
  const holders = await readLocks(
    trx,
    wanted.map((lock) => lock.key),
  );
  const winners = calls.filter(({ intent, keys }) => keys.every((key) => holders.get(key) === intent.id));
  const kept = new Set(winners.flatMap((call) => call.keys));
  const returned = wanted.filter(({ key, operation_id }) => !kept.has(key) && holders.get(key) === toOperationId(operation_id));
  if (returned.length > 0)
    await trx
      .deleteFrom('operation_locks')
      .where(
        'lock_key',
        'in',
        returned.map((lock) => lock.lock_key),
      )
      .execute();
  return winners;
}

/** Who holds which of these keys. */
async function readLocks(queries: Database['queries'], keys: readonly string[]): Promise<Map<string, OperationId>> {
  if (keys.length === 0) return new Map();
  const rows = await queries
    .selectFrom('operation_locks')
    .selectAll()
    .where(
      'lock_key',
      'in',
      [...new Set(keys)].map((key) => Buffer.from(key, 'hex')),
    )
    .execute();
  return new Map(rows.map((row) => [row.lock_key.toString('hex'), toOperationId(row.operation_id)]));
}

/** The rows that hold these keys, by key. */
export async function readHolders(database: Database, keys: readonly string[]): Promise<Map<string, OperationRow>> {
  if (keys.length === 0) return new Map();
  const rows = await database.repeatable((queries) =>
    queries
      .selectFrom('operation_locks')
      .innerJoin('operations', 'operations.id', 'operation_locks.operation_id')
      .select(['operation_locks.lock_key', ...ROW_COLUMNS.map((column) => `operations.${column}` as const)])
      .where(
        'operation_locks.lock_key',
        'in',
        [...new Set(keys)].map((key) => Buffer.from(key, 'hex')),
      )
      .execute(),
  );
  return new Map(await Promise.all(rows.map(async (row) => [row.lock_key.toString('hex'), await toOperationRow(row)] as const)));
}

function refusedOrRepeated({ intent, keys }: BeginCall, holders: ReadonlyMap<string, OperationRow>): BeginResult {
  const holder = keys.map((key) => holders.get(key)).find((row) => row !== undefined);
  // The call was made before and its answer got lost; as long as nobody has taken the row over, it is still the caller's.
  if (holder?.id === intent.id && holder.epoch === FIRST_EPOCH && holder.owner === intent.owner) {
    return { kind: 'begun', epoch: FIRST_EPOCH, sequence: holder.sequence };
  }
  return { kind: 'locked', holder };
}
