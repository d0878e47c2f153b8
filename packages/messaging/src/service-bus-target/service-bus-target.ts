import { createHash } from 'node:crypto';
import { CLOUD_EVENTS_JSON } from '@skiff/model/file-event';
import { StoreError } from '@skiff/model/store-error';
import { withDeadline } from '@skiff/runtime/abort';
import type { DeliveryInput, DeliveryOutcome, DeliveryTarget } from '../delivery-target.ts';
import { attributesOf } from '../event-attributes.ts';
import { refuseLiteral } from '../guarded-socket.ts';
import type { AddressPolicy } from '../http/address-guard.ts';
import { createServiceBusPublisher } from '../service-bus/service-bus.ts';
import type { ServiceBusOptions } from '../service-bus/service-bus-options.ts';

export interface ServiceBusTargetOptions extends Omit<ServiceBusOptions, 'queue'> {
  /** Name of the queue or topic. */
  readonly entity: string;
  /** Names the target among all: `namespace/route|target`. */
  readonly place: string;
  readonly timeoutMs: number;
  /** For an `endpoint` that is an IP address. Names are the SDK's to resolve; it speaks TLS with nothing but a Service Bus. */
  readonly addresses?: AddressPolicy;
}

/** Limit of Service Bus, in characters. */
const MAX_ID_LENGTH = 128;

/**
 * Sends each event to a Service Bus queue or topic. The message id is `event|namespace/route|target` (its hash where that is too long):
 * the same at every try, and another one for another target on the same entity, so that duplicate detection drops only repeats.
 *
 * @throws {AddressRefusedError} for an endpoint at a refused address.
 */
export function createServiceBusTarget(options: ServiceBusTargetOptions): DeliveryTarget {
  const { entity, place, timeoutMs, addresses, ...connection } = options;
  const host = options.endpoint === undefined ? undefined : URL.parse(options.endpoint)?.hostname;
  if (host !== undefined) refuseLiteral({ host, addresses });
  const publisher = createServiceBusPublisher({ ...connection, queue: entity });
  return {
    async deliver(input, signal) {
      try {
        await withDeadline({ timeoutMs, signal }, (within) => publisher.publish([messageOf(input, place)], within));
        return { kind: 'delivered', detail: 'accepted by Service Bus' };
      } catch (error) {
        return failureOf(error, signal);
      }
    },
    close: () => publisher.close(),
  };
}

function messageOf({ eventId, event, body, contentType }: DeliveryInput, place: string) {
  const properties = Object.fromEntries(Object.entries(attributesOf(event)).map(([name, value]) => [`cloudEvents_${name}`, value]));
  const id = `${eventId}|${place}`;
  const messageId = id.length <= MAX_ID_LENGTH ? id : createHash('sha256').update(id).digest('hex');
  return { messageId, contentType: event === undefined ? contentType : CLOUD_EVENTS_JSON, subject: event?.type ?? '', body, properties };
}

function failureOf(error: unknown, signal: AbortSignal): DeliveryOutcome {
  if (signal.aborted) return { kind: 'retry', reason: 'aborted' };
  if (!(error instanceof StoreError)) return { kind: 'retry', reason: error instanceof Error ? error.message : 'unknown failure' };
  const reason = error.message.slice(0, 200);
  if (error.code === 'invalid') return { kind: 'rejected', reason };
  return { kind: 'retry', reason, ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }) };
}
