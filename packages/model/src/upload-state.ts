import { createHash } from 'node:crypto';
import type { Brand } from './brand.ts';

/** States of an operation's row: lock, resume record and outbox in turn (DESIGN, promise P2). `refused`: committed, and the bus does not take its event. */
export const OPERATION_STATES = ['open', 'committing', 'committed', 'published', 'aborted', 'refused'] as const;
export type OperationState = (typeof OPERATION_STATES)[number];

/** Whether the effect is there and its event written down, whatever became of the event since. */
export function isRecorded(state: OperationState): boolean {
  return state === 'committed' || state === 'published' || state === 'refused';
}

/** `setstat` holds the lock while metadata changes, and makes no event. `renamedir`: a directory with all that lies below it. */
export const OPERATION_KINDS = ['upload', 'remove', 'rename', 'mkdir', 'rmdir', 'renamedir', 'setstat'] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

/** 32 lower-case hexadecimal digits: 128 random bits. */
export type OperationId = Brand<string, 'OperationId'>;

export function toOperationId(bytes: Uint8Array): OperationId {
  if (bytes.length !== 16) throw new RangeError('an operation id has 16 bytes');
  return Buffer.from(bytes).toString('hex') as OperationId;
}

/** Who owns a row: one running process. */
export type InstanceId = Brand<string, 'InstanceId'>;

/** Metadata key under which a committed blob carries the id of the operation that wrote it. */
export const UPLOAD_METADATA_KEY = 'skiff_upload';

/** The event's id follows from the operation's, so that every recovery of one operation finds the same. */
export function eventIdOf(operationId: OperationId): string {
  return `skf-${operationId}`;
}

/** A staged part of a blob. `id` is the block id as the store knows it. */
export interface BlockRef {
  readonly id: string;
  readonly sizeBytes: number;
}

/** The lock holds for one blob, whichever endpoint names it; hashed because database collations must not fold names. */
export function lockKeyOf(storage: string, blobName: string): Buffer {
  return createHash('sha256').update(storage).update('\0').update(blobName).digest();
}
