import type { PendingEvent } from '@skiff/database/operation-log';
import { eventSource, type FileEventType } from '@skiff/model/file-event';
import { eventIdOf, type OperationId } from '@skiff/model/upload-state';
import type { BlobName, VirtualPath } from '@skiff/model/virtual-path';
import type { OperationContext } from '../operations/operation-context.ts';

export interface EventSubject {
  readonly id: OperationId;
  readonly type: FileEventType;
  readonly username: string;
  readonly clientAddress: string;
  readonly path: VirtualPath;
  readonly sourcePath?: VirtualPath;
  readonly name: BlobName;
  readonly sizeBytes?: number;
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
