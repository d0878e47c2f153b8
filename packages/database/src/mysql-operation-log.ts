import { randomBytes } from 'node:crypto';
import { isTransient } from '@skiff/model/store-error';
import { type Clock, systemClock } from '@skiff/runtime/clock';
import type { Database } from './connect.ts';
import { withRetries } from './connection/retry.ts';
import type { OperationLog, OperationRef, OperationRow } from './operation-log.ts';
import { type BeginCall, beginAll, FIRST_EPOCH, readHolders } from './operations/begin.ts';
import { advanceRename, movedFiles } from './operations/directory-renames.ts';
import { GroupCommit } from './operations/group-commit.ts';
import { findLooks, looked, revive } from './operations/late-landings.ts';
import { claimLowestOfPaths, claimPublishable, outboxStatus, readmitRefused, releasePublishable } from './operations/outbox.ts';
import { encodePlan } from './operations/plan-codec.ts';
import { findBelow, findExpiredOpen, findOpenUploads, findOperation, findOrphans, prune } from './operations/recovery-queries.ts';
import {
  abortAll,
  adopt,
  type CommittingCall,
  committedAll,
  committingAll,
  parkAll,
  parkUncertain,
  publishedAll,
  refusedAll,
  setPriorEtag,
} from './operations/transitions.ts';
import { UncertainRows } from './operations/uncertain-rows.ts';

/** A key in a statement, in hexadecimal. */
const LOCK_KEY_BYTES = 70;

export interface OperationLogOptions {
  /**
   * Events that this process commits are claimed for nobody. Where order counts, whoever has published the one before on their path goes
   * on with them at once, without waiting for whoever has committed them. Default: they are this process's for the first seconds.
   */
  readonly unclaimed?: boolean;
  /** For tests. */
  readonly clock?: Clock;
}

/** The write-ahead rows in MySQL. One object per process: calls share transactions only within it. */
export function createOperationLog(database: Database, options: OperationLogOptions = {}): OperationLog {
  const idOf = (call: { readonly ref: OperationRef }) => call.ref.id;
  const begins = new GroupCommit({
    run: (calls: readonly BeginCall[]) => withRetries(() => beginAll(database, calls), { idempotent: true }),
    keyOf: (call) => call.intent.id,
    sizeOf: planBytes,
  });
  const committings = new GroupCommit({ run: (calls: readonly CommittingCall[]) => committingAll(database, calls), keyOf: idOf, sizeOf: planBytes });
  const committeds = new GroupCommit({
    run: (calls: Parameters<typeof committedAll>[1]) => committedAll(database, calls, options.unclaimed === true),
    keyOf: idOf,
  });
  const aborts = new GroupCommit({ run: (calls: Parameters<typeof abortAll>[1]) => abortAll(database, calls), keyOf: idOf });
  const parks = new GroupCommit({ run: (calls: Parameters<typeof parkAll>[1]) => parkAll(database, calls), keyOf: idOf });
  const publisheds = new GroupCommit({
    run: async (calls: readonly Parameters<OperationLog['published']>[0][]) => {
      await publishedAll(database, calls.flat());
      return calls.map(() => undefined);
    },
    keyOf: (ids) => ids.join(),
    sizeOf: (ids) => ids.length * 40,
  });
  // Reads share as well: what was committed before a call is there for the batch that takes the call.
  const holders = new GroupCommit({
    run: async (calls: readonly (readonly string[])[]) => {
      const rows = await readHolders(database, calls.flat());
      return calls.map((keys) => distinctRows(keys.flatMap((key) => rows.get(key) ?? [])));
    },
    sizeOf: (keys) => keys.length * LOCK_KEY_BYTES,
  });
  const uncertain = new UncertainRows(options.clock ?? systemClock);

  return {
    async begin(intent) {
      const keys = [...new Set(intent.lockKeys.map((key) => key.toString('hex')))].sort();
      const plan = intent.plan === undefined ? undefined : await encodePlan(intent.plan);
      try {
        const result = await begins.submit({ intent, plan, keys });
        uncertain.delete(intent.id);
        return result;
      } catch (error) {
        if (isTransient(error)) uncertain.add({ ref: { id: intent.id, epoch: FIRST_EPOCH }, adoption: null });
        throw error;
      }
    },
    async committing(ref, plan) {
      return committings.submit({ ref, plan: await encodePlan(plan) });
    },
    committed: (ref, result) => {
      const { etag, unconfirmed = false, unannounced = false } = result;
      return committeds.submit({ ref, etag, unconfirmed, unannounced });
    },
    published: (ids) => publisheds.submit(ids),
    abort: (ref, reason, options) => aborts.submit({ ref, reason, lookAgain: options?.lookAgain === true }),
    park: (ref) => parks.submit({ ref }),
    async adopt(ref, owner) {
      const token = randomBytes(16);
      try {
        return await adopt(database, { ref, owner, token });
      } catch (error) {
        if (isTransient(error)) uncertain.add({ ref: { id: ref.id, epoch: ref.epoch + 1 }, adoption: token });
        throw error;
      }
    },
    findLooks: (endpointId, limit) => findLooks(database, endpointId, limit),
    looked: (id) => looked(database, id),
    async revive(row, owner) {
      const token = randomBytes(16);
      try {
        return await revive(database, { row, owner, token });
      } catch (error) {
        if (isTransient(error)) uncertain.add({ ref: { id: row.id, epoch: row.epoch + 1 }, adoption: token });
        throw error;
      }
    },
    setPriorEtag: (ref, etag) => setPriorEtag(database, ref, etag),
    advanceRename: (ref, files) => advanceRename(database, ref, files),
    movedFiles: (id) => movedFiles(database, id),
    find: (id) => findOperation(database, id),
    async findByLock(lockKey) {
      return [...(await readHolders(database, [lockKey.toString('hex')])).values()][0];
    },
    findByLocks: (lockKeys) => holders.submit(lockKeys.map((key) => key.toString('hex'))),
    findBelow: (storage, directory, limit) => findBelow(database, storage, directory, limit),
    findOpenUploads: (endpointId, username, limit) => findOpenUploads(database, endpointId, username, limit),
    async findOrphans(endpointId, live, limit) {
      await uncertain.settle((row) => parkUncertain(database, row));
      return findOrphans(database, endpointId, live, limit);
    },
    findExpiredOpen: (endpointId, age, limit) => findExpiredOpen(database, endpointId, age, limit),
    claimPublishable: (endpointId, owner, limit) => claimPublishable(database, endpointId, owner, limit),
    claimLowestOfPaths: (endpointId, owner, limit) => claimLowestOfPaths(database, endpointId, owner, limit),
    releasePublishable: (ids) => releasePublishable(database, ids),
    refused: (events) => refusedAll(database, events),
    readmitRefused: (endpointId) => readmitRefused(database, endpointId),
    outboxStatus: (endpointId) => outboxStatus(database, endpointId),
    prune: (finishedBeforeMs, limit) => prune(database, finishedBeforeMs, limit),
  };
}

function distinctRows(rows: readonly OperationRow[]): readonly OperationRow[] {
  return [...new Map(rows.map((row) => [row.id, row])).values()];
}

function planBytes(call: { readonly plan: { readonly plan: Buffer; readonly event: Buffer } | undefined }): number {
  return call.plan === undefined ? 0 : call.plan.plan.length + call.plan.event.length;
}
