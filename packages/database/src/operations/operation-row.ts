import { StoreError } from '@skiff/model/store-error';
import { type InstanceId, OPERATION_STATES, type OperationId, type OperationState, toOperationId } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import type { Selectable } from 'kysely';
import type { OperationRow } from '../operation-log.ts';
import type { OperationsTable } from '../tables.ts';
import { decodePlan } from './plan-codec.ts';
import { kindOfStored } from './stored-kind.ts';

export const ROW_COLUMNS = [
  'id',
  'kind',
  'state',
  'epoch',
  'owner',
  'endpoint_id',
  'username',
  'storage',
  'blob_name',
  'target_blob_name',
  'prior_etag',
  'plan',
  'event',
  'sequence',
  'created_at',
  'updated_at',
] as const;

export type StoredRow = Pick<Selectable<OperationsTable>, (typeof ROW_COLUMNS)[number]>;

export async function toOperationRow(row: StoredRow): Promise<OperationRow> {
  return {
    id: toOperationId(row.id),
    kind: kindOfStored(row.kind, row.target_blob_name !== null) ?? fail('kind'),
    state: toState(row.state),
    epoch: row.epoch,
    owner: row.owner === null ? null : toInstanceId(row.owner),
    endpointId: row.endpoint_id,
    username: row.username,
    storage: row.storage,
    blobName: toStoredName(row.blob_name),
    targetBlobName: row.target_blob_name === null ? null : toStoredName(row.target_blob_name),
    priorEtag: row.prior_etag,
    plan: row.plan === null || row.event === null ? null : await decodePlan(row.plan, row.event),
    sequence: row.sequence === null ? null : BigInt(row.sequence),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export function idBytes(id: OperationId): Buffer {
  return Buffer.from(id, 'hex');
}

/** In key order, so that transactions lock rows in one order and cannot wait for each other in a circle. */
export function sortedIds(ids: Iterable<OperationId>): readonly Buffer[] {
  return [...new Set(ids)].sort().map(idBytes);
}

export function toInstanceId(text: string): InstanceId {
  // Only names of instances are ever written to these columns.
  return text as InstanceId;
}

function toStoredName(text: string): BlobName {
  // Was a BlobName when it was written; minting it again would need the user's jail.
  return text as BlobName;
}

export function toState(text: string): OperationState {
  return OPERATION_STATES.find((state) => state === text) ?? fail('state');
}

function fail(column: string): never {
  throw new StoreError({
    code: 'invalid',
    vendorCode: 'ROW_UNREADABLE',
    message: `an operation's row has a ${column} that this program does not know: a newer one wrote it`,
  });
}
