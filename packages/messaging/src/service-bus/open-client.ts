import { EventEmitter } from 'node:events';
import { ServiceBusClient, type ServiceBusClientOptions } from '@azure/service-bus';
import { retryingCredential } from './retrying-credential.ts';
import type { ServiceBusOptions } from './service-bus-options.ts';

/** Longest that one operation of the SDK may take. */
const OPERATION_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 5_000;

/** A new connection, made on first use. Callers retry by themselves with a new client; `maxRetries` is for the SDK's own tries on this one. */
export function openClient({ namespace, endpoint, credential }: ServiceBusOptions, maxRetries: number): ServiceBusClient {
  const options: ServiceBusClientOptions = {
    retryOptions: { maxRetries, retryDelayInMs: 200, maxRetryDelayInMs: 1_000, timeoutInMs: OPERATION_TIMEOUT_MS },
    ...(endpoint === undefined ? {} : { customEndpointAddress: endpoint }),
  };
  const client =
    'connectionString' in credential
      ? new ServiceBusClient(credential.connectionString.reveal(), options)
      : new ServiceBusClient(namespace, retryingCredential(credential), options);
  sendAtOnce(client);
  return client;
}

/** Where `@azure/service-bus` 7.9.5 has the connection of its AMQP library, which it does not hand out. */
const CONNECTION = ['_connectionContext', 'connection', '_connection'];

function innerConnection(client: ServiceBusClient): unknown {
  return CONNECTION.reduce<unknown>((value, key) => (value instanceof Object ? Reflect.get(value, key) : undefined), client);
}

/**
 * The SDK leaves Nagle's algorithm on: of two small frames in a row the second waits until the first is acknowledged, 40 ms and more for
 * every session that is accepted.
 */
function sendAtOnce(client: ServiceBusClient): void {
  const connection = innerConnection(client);
  const options: unknown = connection instanceof Object ? Reflect.get(connection, 'options') : undefined;
  if (options instanceof Object) Reflect.set(options, 'tcp_no_delay', true);
}

/**
 * For a client that is closed. A wait for a session looks at no signal, outlasts an orderly close, and keeps the process for up to a
 * minute; it ends when the connection is said to be lost.
 */
export function endWaits(client: ServiceBusClient): void {
  const connection = innerConnection(client);
  if (connection instanceof EventEmitter) connection.emit('disconnected', { connection, error: new Error('the connection is closed') });
}

/** Waits for `closing` no longer than 5 s: closing over a connection that is gone may never end. */
export async function boundedClose(closing: Promise<unknown>): Promise<'closed' | 'abandoned'> {
  const timeout = Promise.withResolvers<'abandoned'>();
  const timer = setTimeout(() => timeout.resolve('abandoned'), CLOSE_TIMEOUT_MS);
  const settled = closing.then(
    (): 'closed' => 'closed',
    // Nothing depends on a goodbye: what was not settled comes again by its lock.
    (): 'abandoned' => 'abandoned',
  );
  try {
    return await Promise.race([settled, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
