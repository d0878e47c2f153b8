import type { EventConsumer, EventPublisher } from '../event-bus.ts';
import { ServiceBusConsumer, type ServiceBusConsumerOptions } from './service-bus-consumer.ts';
import { ServiceBusPublisher, type ServiceBusPublisherOptions } from './service-bus-publisher.ts';

/**
 * Sends to an Azure Service Bus queue. Connects on first use.
 *
 * @example
 * const publisher = createServiceBusPublisher({ namespace: 'acme.servicebus.windows.net', queue: 'files', credential, logger });
 * await publisher.publish(messages, AbortSignal.timeout(10_000));
 */
export function createServiceBusPublisher(options: ServiceBusPublisherOptions): EventPublisher {
  return new ServiceBusPublisher(options);
}

/**
 * Receives from an Azure Service Bus queue under peek-lock; locks are renewed for up to 10 minutes per message.
 *
 * @throws {RangeError} when `concurrency` is not between 1 and 1,000.
 */
export function createServiceBusConsumer(options: ServiceBusConsumerOptions): EventConsumer {
  return new ServiceBusConsumer(options);
}
