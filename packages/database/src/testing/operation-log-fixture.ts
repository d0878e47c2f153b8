import assert from 'node:assert/strict';
import type { OperationId } from '@skiff/model/upload-state';
import { createOperationLog } from '../mysql-operation-log.ts';
import type { OperationIntent, OperationLog, OperationRef } from '../operation-log.ts';
import { openTestDatabase, type TestDatabase } from './database-fixture.ts';
import { sampleIntent } from './sample-operation.ts';

/** An operation log on a schema of its own, and the steps that its tests share. */
export interface OperationLogFixture extends TestDatabase {
  readonly log: OperationLog;
  /** An endpoint whose outbox no other test fills. */
  newEndpointId(): number;
  /** Fails when a lock is taken. */
  begin(intent: OperationIntent): Promise<OperationRef>;
  /** An upload from its intent to `committed`: its event waits, claimed by `pod-1`. */
  commit(endpointId: number, path: string): Promise<OperationId>;
  /** As if all claims had run out. */
  freeClaims(): Promise<void>;
  /** How many locks an operation holds. */
  countLocks(id: OperationId): Promise<number>;
}

export async function openOperationLogFixture(): Promise<OperationLogFixture> {
  const test = await openTestDatabase();
  const { queries } = test.database;
  const log = createOperationLog(test.database);
  let endpoints = 100;
  const begin = async (intent: OperationIntent): Promise<OperationRef> => {
    const result = await log.begin(intent);
    assert.ok(result.kind === 'begun', `${intent.blobName} is locked`);
    return { id: intent.id, epoch: result.epoch };
  };
  return {
    ...test,
    log,
    begin,
    newEndpointId: () => endpoints++,
    async commit(endpointId, path) {
      const ref = await begin(sampleIntent({ path, endpointId, planned: true }));
      assert.ok(await log.committed(ref, { etag: '"1"' }));
      return ref.id;
    },
    async freeClaims() {
      await queries.updateTable('operations').set({ claim_until: null }).execute();
    },
    async countLocks(id) {
      return (await queries.selectFrom('operation_locks').selectAll().where('operation_id', '=', Buffer.from(id, 'hex')).execute()).length;
    },
  };
}
