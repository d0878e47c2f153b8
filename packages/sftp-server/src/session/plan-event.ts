import type { PendingEvent } from '@skiff/database/operation-log';
import type { EventType } from '@skiff/model/event-types';
import { eventSource } from '@skiff/model/file-event';
import { eventIdOf, type OperationId } from '@skiff/model/upload-state';
import type { BlobName, VirtualPath } from '@skiff/model/virtual-path';
import type { DownloadedEvent } from '../best-effort-events.ts';
import type { OperationContext } from '../operations/operation-context.ts';

export interface EventSubject {
  readonly id: OperationId;
  readonly type: EventType;
  readonly username: string;
  readonly clientAddress: string;
  readonly path: VirtualPath;
  readonly sourcePath?: VirtualPath;
  readonly name: BlobName;
  readonly sizeBytes?: number;
}

export interface DownloadSubject {
  readonly username: string;
  readonly clientAddress: string;
  readonly path: VirtualPath;
  readonly name: BlobName;
  readonly etag: string;
  readonly sizeBytes: number;
  readonly bytesSent: number;
  readonly complete: boolean;
}

/** The event of a file handle that a client has read from. */
export function downloadedEvent(context: OperationContext, subject: DownloadSubject): DownloadedEvent {
  const { etag, bytesSent, complete, ...rest } = subject;
  const type = 'dev.skiff.file.downloaded';
  const event = planEvent(context, { ...rest, id: context.newOperationId(), type });
  const { data } = event;
  return { ...event, type, data: { ...data, bytesSent, complete, blob: { ...data.blob, etag } } };
}

/** The event of an operation, as it is written down before the operation has any effect. */
export function planEvent(context: OperationContext, subject: EventSubject): PendingEvent {
  const { endpoint, store, clock } = context;
  return {
    specversion: '1.0',
    id: eventIdOf(subject.id),
    source: eventSource(endpoint),
    type: subject.type,
    subject: subject.name,
    time: clock.now().toISOString(),
    datacontenttype: 'application/json',
    data: {
      operationId: subject.id,
      endpoint: { namespace: endpoint.namespace, name: endpoint.name },
      username: subject.username,
      clientAddress: subject.clientAddress,
      path: subject.path,
      ...(subject.sourcePath === undefined ? {} : { sourcePath: subject.sourcePath }),
      ...(subject.sizeBytes === undefined ? {} : { sizeBytes: subject.sizeBytes }),
      blob: { container: store.container, name: subject.name, url: store.urlOf(subject.name) },
    },
  };
}
