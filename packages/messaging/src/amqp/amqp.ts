import type { EventConsumer, EventPublisher } from '../event-bus.ts';
import { AmqpConsumer } from './amqp-consumer.ts';
import type { AmqpConsumerOptions, AmqpOptions } from './amqp-options.ts';
import { AmqpPublisher } from './amqp-publisher.ts';

export type { AmqpAccess, AmqpConsumerOptions, AmqpOptions } from './amqp-options.ts';

/**
 * Sends to an address of an AMQP 1.0 broker (ActiveMQ Artemis, RabbitMQ). Connects on first use.
 *
 * @example
 * createAmqpPublisher({ url: 'amqps://broker.example', address: 'events', login: { username, password }, logger });
 */
export function createAmqpPublisher(options: AmqpOptions): EventPublisher {
  return new AmqpPublisher(options);
}

/**
 * Receives from an address of an AMQP 1.0 broker as one of many competing consumers.
 *
 * @throws {RangeError} when `concurrency` is not between 1 and 1,000.
 */
export function createAmqpConsumer(options: AmqpConsumerOptions): EventConsumer {
  return new AmqpConsumer(options);
}
