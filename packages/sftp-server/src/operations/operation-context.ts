import type { OperationLog } from '@skiff/database/operation-log';
import type { FileEvent } from '@skiff/model/file-event';
import type { OperationId } from '@skiff/model/upload-state';
import type { Clock } from '@skiff/runtime/clock';
import type { Failpoints } from '@skiff/runtime/failpoint';
import type { Logger } from '@skiff/runtime/logger';
import type { FileStore } from '@skiff/storage/file-store';
import type { DownloadedEvent } from '../best-effort-events.ts';
import type { Lease } from '../lease.ts';
import type { LiveUploads } from './live-uploads.ts';
import type { ParkingLot } from './parking-lot.ts';

/** What every mutating operation of one endpoint needs. */
export interface OperationContext {
  readonly endpoint: { readonly id: number; readonly namespace: string; readonly name: string };
  readonly store: FileStore;
  readonly log: OperationLog;
  readonly lease: Lease;
  readonly parking: ParkingLot;
  readonly uploads: LiveUploads;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly failpoints: Failpoints;
  /** 16 random bytes as an id. */
  readonly newOperationId: () => OperationId;
  /** Whether the endpoint emits events of a type now. */
  readonly emits: (type: string) => boolean;
  /** Called once an operation is committed, `announced` when its event waits in the outbox; never throws and never waits. */
  readonly onCommitted: (event: FileEvent, id: OperationId, announced: boolean) => void;
  /** Called when a client is done with a file that it has read from; never throws and never waits. */
  readonly onDownloaded: (event: DownloadedEvent) => void;
}
