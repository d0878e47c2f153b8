import { CLOUD_EVENTS_JSON } from '@skiff/model/file-event';
import { StoreError } from '@skiff/model/store-error';
import { withDeadline } from '@skiff/runtime/abort';
import type { DeliveryInput, DeliveryOutcome, DeliveryTarget } from '../delivery-target.ts';
import { attributesOf } from '../event-attributes.ts';
import type { OutgoingMessage } from '../event-bus.ts';
import { AddressRefusedError } from '../http/address-guard.ts';
import { type AmqpOptions, parseBrokerUrl } from './amqp-options.ts';
import { AmqpPublisher } from './amqp-publisher.ts';

export interface AmqpTargetOptions extends AmqpOptions {
  /** One attempt, connecting included. */
  readonly timeoutMs: number;
}

/**
 * Sends each event to one address: CloudEvents AMQP binding 1.0, structured mode, with the attributes as application properties as well
 * (`cloudEvents_type`), so that brokers can filter by them. Accepted by the broker is success.
 *
 * @throws {AmqpOptionsError} for a URL that cannot be used.
 */
export function createAmqpTarget(options: AmqpTargetOptions): DeliveryTarget {
  parseBrokerUrl(options.url, { plain: 'amqp', tls: 'amqps', ports: [5672, 5671] });
  // Whoever is told "retry" tries again.
  const publisher = new AmqpPublisher({ ...options, maxAttempts: 1 });
  return {
    async deliver(input, signal) {
      try {
        await withDeadline({ timeoutMs: options.timeoutMs, signal }, (within) => publisher.publish([messageOf(input)], within));
        return { kind: 'delivered', detail: 'accepted by the broker' };
      } catch (error) {
        return failureOf(error, signal);
      }
    },
    close: () => publisher.close(),
  };
}

function messageOf(input: DeliveryInput): OutgoingMessage {
  const { eventId, event, body, contentType } = input;
  const properties = Object.fromEntries(Object.entries(attributesOf(event)).map(([name, value]) => [`cloudEvents_${name}`, value]));
  return { messageId: eventId, contentType: event === undefined ? contentType : CLOUD_EVENTS_JSON, subject: event?.type ?? '', body, properties };
}

function failureOf(error: unknown, signal: AbortSignal): DeliveryOutcome {
  if (signal.aborted) return { kind: 'retry', reason: 'aborted' };
  if (error instanceof AddressRefusedError) return { kind: error.literal ? 'rejected' : 'retry', reason: error.message };
  if (error instanceof StoreError) return { kind: error.code === 'invalid' ? 'rejected' : 'retry', reason: error.message };
  return { kind: 'retry', reason: error instanceof Error ? error.message : 'unknown failure' };
}
