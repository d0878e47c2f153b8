import type { BestEffortEventType } from '@skiff/model/event-types';
import type { DropReason } from './best-effort-events.ts';

/** What the SFTP server counts. No user, path or address ever becomes a label. */
export interface SftpServerMetrics {
  /** An event of a download or a login was not sent. */
  eventDropped(type: BestEffortEventType, reason: DropReason): void;
}

export const noServerMetrics: SftpServerMetrics = {
  eventDropped() {},
};
