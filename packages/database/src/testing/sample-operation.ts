import { randomBytes } from 'node:crypto';
import type { FileEvent } from '@skiff/model/file-event';
import { eventIdOf, type InstanceId, lockKeyOf, type OperationId, toOperationId } from '@skiff/model/upload-state';
import { parseVirtualPath, toBlobName, toJail } from '@skiff/model/virtual-path';
import type { CommitPlan, OperationIntent } from '../operation-log.ts';

const STORAGE = 'azure://account/container';

export function newOperationId(): OperationId {
  return toOperationId(randomBytes(16));
}

export function instance(name: string): InstanceId {
  return name as InstanceId;
}

/** An upload of a user `anna` as an SFTP server would begin it. */
export function sampleIntent(props: {
  readonly path: string;
  readonly owner?: string;
  readonly id?: OperationId;
  readonly planned?: boolean;
  readonly endpointId?: number;
}): OperationIntent {
  const id = props.id ?? newOperationId();
  const blobName = toBlobName(toJail('', '/anna'), parseVirtualPath(props.path));
  return {
    id,
    kind: 'upload',
    endpointId: props.endpointId ?? 1,
    username: 'anna',
    storage: STORAGE,
    blobName,
    lockKeys: [lockKeyOf(STORAGE, blobName)],
    owner: instance(props.owner ?? 'pod-1'),
    priorEtag: null,
    ...(props.planned === true ? { plan: samplePlan(id, props.path) } : {}),
  };
}

export function samplePlan(id: OperationId, path: string): CommitPlan {
  const event: FileEvent = {
    specversion: '1.0',
    id: eventIdOf(id),
    source: '/skiff/team/main',
    type: 'dev.skiff.file.uploaded',
    subject: `anna${path}`,
    time: '2026-01-01T00:00:00.000Z',
    datacontenttype: 'application/json',
    data: {
      operationId: id,
      endpoint: { namespace: 'team', name: 'main' },
      username: 'anna',
      path,
      sizeBytes: 5,
      blob: { container: 'container', name: `anna${path}`, url: `https://account.blob.core.windows.net/container/anna${path}` },
    },
  };
  return { blocks: [{ id: `${id}-1`, sizeBytes: 5 }], sizeBytes: 5, priorEtag: null, metadata: { skiff_upload: id }, event };
}
