import type { ServiceBusReceivedMessage } from '@azure/service-bus';
import type { Settlement } from '../event-bus.ts';
import type { ServiceBusOptions } from './service-bus-options.ts';

export interface GenerationProps {
  readonly options: ServiceBusOptions;
  /** Messages at a time. */
  readonly concurrency: number;
  readonly onMessage: (message: ServiceBusReceivedMessage) => Promise<Settlement>;
}

/** What a consumer receives by for a while: one connection, never repaired, replaced by another. */
export interface Generation {
  /** Resolves with the first error of a link or connection. */
  readonly failed: Promise<Error>;
  /** Milliseconds since a message came or was settled; 0 while any is being handled. */
  readonly idleMs: number;
  /** Takes no more messages, lets the running handlers end and settle, then closes the connection. */
  retire(): Promise<void>;
}
