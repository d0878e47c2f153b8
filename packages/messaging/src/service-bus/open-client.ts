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
  if ('connectionString' in credential) return new ServiceBusClient(credential.connectionString.reveal(), options);
  return new ServiceBusClient(namespace, retryingCredential(credential), options);
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
