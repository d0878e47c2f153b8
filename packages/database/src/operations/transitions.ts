import type { FileEvent } from '@skiff/model/file-event';
import type { OperationId } from '@skiff/model/upload-state';
import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { Database } from '../connect.ts';
import type { OperationRef } from '../operation-log.ts';
import type { Tables } from '../tables.ts';
import { insertLooks } from './late-landings.ts';
import { idBytes, sortedIds } from './operation-row.ts';
import { decodeEvent, type EncodedPlan, finishEvent } from './plan-codec.ts';
import { type Decision, decide, drawSequences, type LockedRow, lockRows, lockRowsWith, perRow, releaseLocks, type Step } from './transition.ts';
import type { UncertainRow } from './uncertain-rows.ts';

/** For how long the instance that committed an event has it to itself, by the database's clock. */
const OWN_CLAIM_SECONDS = 10;

const NOW = sql<Date>`UTC_TIMESTAMP(3)`;

interface Judged<Call> {
  readonly call: Call;
  readonly row: LockedRow | undefined;
  readonly decision: Decision;
}

function judge<Call extends { readonly ref: OperationRef }>(
  step: Step,
  calls: readonly Call[],
  rows: ReadonlyMap<OperationId, LockedRow>,
): readonly Judged<Call>[] {
  return calls.map((call) => {
    const row = rows.get(call.ref.id);
    return { call, row, decision: decide(step, call.ref, row) };
  });
}

function toApply<Call>(judged: readonly Judged<Call>[]): readonly Call[] {
  return judged.filter((entry) => entry.decision === 'apply').map((entry) => entry.call);
}

export interface CommittingCall {
  readonly ref: OperationRef;
  readonly plan: EncodedPlan;
}

/** All functions below run one transaction for many calls, and give the same answers when run again. */
export function committingAll(database: Database, calls: readonly CommittingCall[]): Promise<readonly ({ readonly sequence: bigint } | undefined)[]> {
  return database.transaction(
    async (trx) => {
      const judged = judge(
        'committing',
        calls,
        await lockRows(
          trx,
          calls.map((call) => call.ref.id),
        ),
      );
      const apply = toApply(judged);
      const sequences = await drawSequences(trx, apply.length);
      const drawn = new Map(apply.map((call, index) => [call.ref.id, sequences[index] ?? 0n]));
      if (apply.length > 0) {
        const perCall = <Value>(value: (call: CommittingCall) => Value) => perRow(apply.map((call) => ({ id: call.ref.id, value: value(call) })));
        await trx
          .updateTable('operations')
          .set({
            state: 'committing',
            sequence: perCall((call) => (drawn.get(call.ref.id) ?? 0n).toString()),
            plan: perCall((call) => call.plan.plan),
            event: perCall((call) => call.plan.event),
            prior_etag: perCall((call) => call.plan.priorEtag),
            updated_at: NOW,
          })
          .where('id', 'in', sortedIds(drawn.keys()))
          .execute();
      }
      return judged.map(({ call, row, decision }) => {
        if (decision === 'displaced') return undefined;
        return { sequence: drawn.get(call.ref.id) ?? BigInt(row?.sequence ?? 0) };
      });
    },
    { idempotent: true },
  );
}

export interface CommittedCall {
  readonly ref: OperationRef;
  readonly etag: string | undefined;
  readonly unconfirmed: boolean;
  readonly unannounced: boolean;
}

/** `unclaimed`: for whichever relay looks first. Otherwise the row's owner has the event to itself for a while. */
export function committedAll(database: Database, calls: readonly CommittedCall[], unclaimed: boolean): Promise<readonly (FileEvent | undefined)[]> {
  const ownClaim = {
    claim_owner: sql<string | null>`owner`,
    claim_until: sql<Date | null>`IF(owner IS NULL, NULL, UTC_TIMESTAMP(3) + INTERVAL ${sql.lit(OWN_CLAIM_SECONDS)} SECOND)`,
  };
  return database.transaction(
    async (trx) => {
      const ids = calls.map((call) => call.ref.id);
      const rows = await lockRowsWith(trx, ids, ['event', 'result_etag', 'unconfirmed']);
      const judged = judge('committed', calls, rows);
      const apply = toApply(judged);
      if (apply.length > 0) {
        const applied = apply.map((call) => call.ref.id);
        const unannounced = apply.filter((call) => call.unannounced);
        await setCommitted(
          trx,
          apply.filter((call) => !call.unannounced),
          { state: 'committed', ...(unclaimed ? {} : ownClaim) },
        );
        await setCommitted(trx, unannounced, { state: 'published', finished_at: NOW });
        await releaseLocks(trx, applied);
      }
      return judged.map(({ call, decision }) => {
        const row = rows.get(call.ref.id);
        if (row === undefined || decision === 'displaced') return undefined;
        if (decision === 'done') return toEvent(row);
        return toEvent({ ...row, result_etag: call.etag ?? null, unconfirmed: call.unconfirmed ? 1 : 0 });
      });
    },
    { idempotent: true },
  );
}

interface CommittedColumns {
  readonly state: 'committed' | 'published';
  readonly claim_owner?: RawBuilder<string | null>;
  readonly claim_until?: RawBuilder<Date | null>;
  readonly finished_at?: RawBuilder<Date>;
}

async function setCommitted(trx: Transaction<Tables>, calls: readonly CommittedCall[], columns: CommittedColumns): Promise<void> {
  if (calls.length === 0) return;
  await trx
    .updateTable('operations')
    .set({
      ...columns,
      result_etag: perRow(calls.map((call) => ({ id: call.ref.id, value: call.etag ?? null }))),
      unconfirmed: perRow(calls.map((call) => ({ id: call.ref.id, value: call.unconfirmed ? 1 : 0 }))),
      updated_at: NOW,
    })
    .where('id', 'in', sortedIds(calls.map((call) => call.ref.id)))
    .execute();
}

export interface FinishedRow {
  readonly event: Buffer | null;
  readonly sequence: string | null;
  readonly result_etag: string | null;
  readonly unconfirmed: number | null;
}

export function toEvent(row: FinishedRow): FileEvent | undefined {
  if (row.event === null || row.sequence === null) return undefined;
  return finishEvent(decodeEvent(row.event), { sequence: row.sequence, etag: row.result_etag, unconfirmed: row.unconfirmed === 1 });
}

export interface AbortCall {
  readonly ref: OperationRef;
  readonly reason: string;
  readonly lookAgain: boolean;
}

const MAX_REASON_CHARACTERS = 1_000;

export function abortAll(database: Database, calls: readonly AbortCall[]): Promise<readonly boolean[]> {
  return database.transaction(
    async (trx) => {
      const judged = judge(
        'abort',
        calls,
        await lockRows(
          trx,
          calls.map((call) => call.ref.id),
        ),
      );
      const apply = toApply(judged);
      if (apply.length > 0) {
        const applied = apply.map((call) => call.ref.id);
        const reason = perRow(apply.map((call) => ({ id: call.ref.id, value: call.reason.slice(0, MAX_REASON_CHARACTERS) })));
        await trx
          .updateTable('operations')
          .set({ state: 'aborted', reason, finished_at: NOW, updated_at: NOW })
          .where('id', 'in', sortedIds(applied))
          .execute();
        await releaseLocks(trx, applied);
        await insertLooks(
          trx,
          apply.filter((call) => call.lookAgain).map((call) => call.ref.id),
        );
      }
      return judged.map((entry) => entry.decision !== 'displaced');
    },
    { idempotent: true },
  );
}

export function parkAll(database: Database, calls: readonly { readonly ref: OperationRef }[]): Promise<readonly boolean[]> {
  return database.transaction(
    async (trx) => {
      const judged = judge(
        'park',
        calls,
        await lockRows(
          trx,
          calls.map((call) => call.ref.id),
        ),
      );
      const apply = toApply(judged).map((call) => call.ref.id);
      if (apply.length > 0) await trx.updateTable('operations').set({ owner: null, updated_at: NOW }).where('id', 'in', sortedIds(apply)).execute();
      return judged.map((entry) => entry.decision !== 'displaced');
    },
    { idempotent: true },
  );
}

/** Parks a row only if it is the very one that an uncertain call wrote or took over. */
export async function parkUncertain(database: Database, { ref, adoption }: UncertainRow): Promise<void> {
  await database.repeatable((queries) =>
    queries
      .updateTable('operations')
      .set({ owner: null, updated_at: NOW })
      .where('id', '=', idBytes(ref.id))
      .where('epoch', '=', ref.epoch)
      .where('adoption', adoption === null ? 'is' : '=', adoption)
      .where('state', 'in', ['open', 'committing'])
      .execute(),
  );
}

export async function publishedAll(database: Database, ids: readonly OperationId[]): Promise<void> {
  if (ids.length === 0) return;
  await database.repeatable((queries) =>
    queries
      .updateTable('operations')
      .set({ state: 'published', claim_owner: null, claim_until: null, finished_at: NOW, updated_at: NOW })
      .where('id', 'in', sortedIds(ids))
      .where('state', '=', 'committed')
      .execute(),
  );
}

export interface RefusedCall {
  readonly id: OperationId;
  readonly reason: string;
}

/** Without `finished_at`: no retention takes the row away. */
export async function refusedAll(database: Database, calls: readonly RefusedCall[]): Promise<void> {
  if (calls.length === 0) return;
  const reason = perRow(calls.map(({ id, reason: text }) => ({ id, value: text.slice(0, MAX_REASON_CHARACTERS) })));
  await database.repeatable((queries) =>
    queries
      .updateTable('operations')
      .set({ state: 'refused', reason, claim_owner: null, claim_until: null, updated_at: NOW })
      .where('id', 'in', sortedIds(calls.map(({ id }) => id)))
      .where('state', '=', 'committed')
      .execute(),
  );
}

export function setPriorEtag(database: Database, ref: OperationRef, etag: string | null): Promise<boolean> {
  return database.transaction(
    async (trx) => {
      const row = (await lockRows(trx, [ref.id])).get(ref.id);
      if (decide('setPriorEtag', ref, row) === 'displaced') return false;
      await trx.updateTable('operations').set({ prior_etag: etag, updated_at: NOW }).where('id', '=', idBytes(ref.id)).execute();
      return true;
    },
    { idempotent: true },
  );
}

export interface Adoption {
  readonly ref: OperationRef;
  readonly owner: string;
  /** 16 random bytes that tell this adoption from all others, should its outcome be unknown. */
  readonly token: Buffer;
}

export function adopt(database: Database, { ref, owner, token }: Adoption): Promise<OperationRef | undefined> {
  const next = { id: ref.id, epoch: ref.epoch + 1 };
  return database.transaction(
    async (trx) => {
      const row = (await lockRows(trx, [ref.id])).get(ref.id);
      if (row === undefined || (row.state !== 'open' && row.state !== 'committing')) return undefined;
      if (row.epoch === next.epoch && row.adoption?.equals(token) === true) return next;
      if (row.epoch !== ref.epoch) return undefined;
      await trx.updateTable('operations').set({ epoch: next.epoch, owner, adoption: token, updated_at: NOW }).where('id', '=', idBytes(ref.id)).execute();
      return next;
    },
    { idempotent: true },
  );
}
