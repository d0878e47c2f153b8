import type { FileEvent } from '@skiff/model/file-event';

/** The event to deliver. `event` is set when the message is a CloudEvent of ours; other JSON messages have only `body`. */
export interface DeliveryInput {
  readonly eventId: string;
  readonly event: FileEvent | undefined;
  readonly body: Buffer;
  readonly contentType: string;
  readonly attempt: number;
}

/** `retry`: may succeed later. `rejected`: the target said no for good (HTTP 4xx other than 408, 425, 429). */
export type DeliveryOutcome =
  | { readonly kind: 'delivered'; readonly detail: string }
  | { readonly kind: 'retry'; readonly reason: string; readonly retryAfterMs?: number }
  | { readonly kind: 'rejected'; readonly reason: string };

/** One place that events go to. Never throws for what the target does. */
export interface DeliveryTarget {
  deliver(input: DeliveryInput, signal: AbortSignal): Promise<DeliveryOutcome>;
  close(): Promise<void>;
}
