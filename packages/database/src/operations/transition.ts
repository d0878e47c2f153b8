import type { OperationId, OperationState } from '@skiff/model/upload-state';
import { isRecorded, toOperationId } from '@skiff/model/upload-state';
import { type RawBuilder, type Selectable, sql, type Transaction } from 'kysely';
import type { OperationRef } from '../operation-log.ts';
import type { OperationsTable, Tables } from '../tables.ts';
import { idBytes, sortedIds, toState } from './operation-row.ts';

/** A row under lock, with what transitions need to know of it. */
export interface LockedRow {
  readonly id: OperationId;
  readonly state: OperationState;
  readonly epoch: number;
  readonly owner: string | null;
  readonly sequence: string | null;
  readonly adoption: Buffer | null;
}

/** `apply`: the row is to be changed. `done`: this very call has changed it before. */
export type Decision = 'apply' | 'done' | 'displaced';

/** The transitions that compare epoch and state; each may be repeated when its outcome was unknown. */
export type Step = 'committing' | 'committed' | 'abort' | 'park' | 'setPriorEtag';

/** What a step does to a row, given who asks: the whole state machine of DESIGN P2. */
export function decide(step: Step, ref: OperationRef, row: LockedRow | undefined): Decision {
  if (row === undefined || row.epoch !== ref.epoch) return 'displaced';
  const unfinished = row.state === 'open' || row.state === 'committing';
  switch (step) {
    case 'committing':
      if (row.state === 'open') return 'apply';
      return row.state === 'committing' ? 'done' : 'displaced';
    case 'committed':
      if (row.state === 'committing') return 'apply';
      return isRecorded(row.state) ? 'done' : 'displaced';
    case 'abort':
      if (unfinished) return 'apply';
      return row.state === 'aborted' ? 'done' : 'displaced';
    case 'park':
      if (!unfinished) return 'displaced';
      return row.owner === null ? 'done' : 'apply';
    case 'setPriorEtag':
      return unfinished ? 'apply' : 'displaced';
  }
}

/** Locks the rows in key order. */
export function lockRows(trx: Transaction<Tables>, ids: readonly OperationId[]): Promise<ReadonlyMap<OperationId, LockedRow>> {
  return lockRowsWith(trx, ids, []);
}

type OperationColumn = keyof Selectable<OperationsTable>;

/** As {@link lockRows}, with further columns of the rows. */
export async function lockRowsWith<Column extends OperationColumn>(
  trx: Transaction<Tables>,
  ids: readonly OperationId[],
  columns: readonly Column[],
): Promise<ReadonlyMap<OperationId, LockedRow & Pick<Selectable<OperationsTable>, Column>>> {
  const wanted = sql.join(LOCKED_COLUMNS.concat(columns).map((column) => sql.ref(column)));
  const { rows } = await sql<StoredLockedRow & Pick<Selectable<OperationsTable>, Column>>`
    SELECT ${wanted} FROM operations FORCE INDEX (PRIMARY)
    WHERE id IN (${sql.join(sortedIds(ids))}) ORDER BY id FOR UPDATE`.execute(trx);
  return new Map(rows.map((row) => [toOperationId(row.id), { ...row, id: toOperationId(row.id), state: toState(row.state) }]));
}

const LOCKED_COLUMNS: readonly OperationColumn[] = ['id', 'state', 'epoch', 'owner', 'sequence', 'adoption'];
type StoredLockedRow = Pick<Selectable<OperationsTable>, 'id' | 'state' | 'epoch' | 'owner' | 'sequence' | 'adoption'>;

/** `CASE id WHEN … THEN … END`: a value of its own for each row of one UPDATE. */
export function perRow<Value>(entries: readonly { readonly id: OperationId; readonly value: Value }[]): RawBuilder<Value> {
  const whens = entries.map(({ id, value }) => sql`WHEN ${idBytes(id)} THEN ${value}`);
  return sql<Value>`CASE id ${sql.join(whens, sql` `)} END`;
}

/** Draws `count` numbers. Later draws of the same path get greater ones, because each happens under the path's lock. */
export async function drawSequences(trx: Transaction<Tables>, count: number): Promise<readonly bigint[]> {
  if (count === 0) return [];
  const values = Array.from({ length: count }, () => sql`()`);
  const inserted = await sql`INSERT INTO event_sequence () VALUES ${sql.join(values)}`.execute(trx);
  const first = inserted.insertId ?? 0n;
  if (count === 1) return [first];
  // One statement of known length gets consecutive numbers (MySQL manual, "InnoDB AUTO_INCREMENT Lock Modes"), but with the
  // server's step: clusters of several writers set it above 1.
  const { rows } = await sql<{ step: string }>`SELECT @@auto_increment_increment AS step`.execute(trx);
  const step = BigInt(rows[0]?.step ?? 1);
  return values.map((_, index) => first + step * BigInt(index));
}

/** Deletes the locks of these operations, in key order. */
export async function releaseLocks(trx: Transaction<Tables>, ids: readonly OperationId[]): Promise<void> {
  const held = await trx.selectFrom('operation_locks').select('lock_key').where('operation_id', 'in', sortedIds(ids)).execute();
  if (held.length === 0) return;
  const keys = held.map((lock) => lock.lock_key).sort(Buffer.compare);
  await trx.deleteFrom('operation_locks').where('lock_key', 'in', keys).where('operation_id', 'in', sortedIds(ids)).execute();
}
