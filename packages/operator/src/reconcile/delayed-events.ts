import type { OperationLog, OutboxStatus } from '@skiff/database/operation-log';
import { objectKey } from '@skiff/model/object-meta';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { Obstacle } from '@skiff/policy/complete-conditions';
import { delayedEvents } from '@skiff/policy/delayed-events';
import type { Logger } from '@skiff/runtime/logger';
import { type ResourceSource, refFromKey, refOf } from '../resource-source.ts';
import type { ReconcileContext, RowRepository } from './reconcile-context.ts';
import { ResyncLooks } from './resync-looks.ts';

/** Endpoints' outboxes, by `namespace/name`. */
export type OutboxLooks = ResyncLooks<string, OutboxStatus>;

export interface OutboxLooksProps {
  readonly outbox: Pick<OperationLog, 'outboxStatus'>;
  readonly repository: Pick<RowRepository, 'endpointId'>;
  readonly logger: Logger;
}

export function outboxLooks({ outbox, repository, logger }: OutboxLooksProps): OutboxLooks {
  return new ResyncLooks({
    read: async (endpointKey: string) => {
      const { namespace, name } = refFromKey('SftpEndpoint', endpointKey);
      return outbox.outboxStatus(await repository.endpointId(namespace, name));
    },
    unread: 'the outbox cannot be read; what was told of it stands',
    logger,
  });
}

/** Why events of an endpoint are late, as far as the database tells. While it tells nothing, what the status says stands. */
export async function delayOf({ source, outbox }: Pick<ReconcileContext, 'source' | 'outbox'>, endpoint: SftpEndpoint): Promise<Obstacle | undefined> {
  if (outbox === undefined || endpoint.spec.events === undefined) return undefined;
  const status = await outbox.of(objectKey(endpoint.metadata));
  return status === undefined ? toldOf(source, endpoint) : delayedEvents(status);
}

/** What the status says of late events. */
export function toldOf(source: Pick<ResourceSource, 'status'>, endpoint: SftpEndpoint): Obstacle | undefined {
  const told = source.status(refOf(endpoint))?.conditions?.find(({ type }) => type === 'EventsDelayed');
  return told === undefined ? undefined : { reason: told.reason, message: told.message };
}

/** Says so when events begin to be late, when the reason changes, and when they are late no longer. */
export function announceDelay(
  source: Pick<ResourceSource, 'recordEvent'>,
  endpoint: SftpEndpoint,
  delay: { readonly before: Obstacle | undefined; readonly now: Obstacle | undefined },
): void {
  const { before, now } = delay;
  if (before?.reason === now?.reason) return;
  const event =
    now === undefined
      ? ({ type: 'Normal', reason: 'EventsPublished', message: 'no events are late any more' } as const)
      : ({ type: 'Warning', ...now } as const);
  source.recordEvent(refOf(endpoint), event);
}
