import type { FileEvent } from '@skiff/model/file-event';
import type { SkiffEvent } from '@skiff/model/skiff-event';

/** The event to deliver. `event` is set when the message is a CloudEvent of ours; other JSON messages have only `body`. */
export interface DeliveryInput {
  readonly eventId: string;
  readonly event: SkiffEvent | undefined;
  readonly body: Buffer;
  readonly contentType: string;
  readonly attempt: number;
}

/** `retry`: may succeed later. `rejected`: the target said no for good (HTTP 4xx other than 408, 425, 429). */
export type DeliveryOutcome =
  | { readonly kind: 'delivered'; readonly detail: string }
  | {
      readonly kind: 'retry';
      readonly reason: string;
      readonly retryAfterMs?: number;
      /** True: nothing was sent, since something is missing on our side. It does not count as an attempt. */
      readonly untried?: boolean;
    }
  | { readonly kind: 'rejected'; readonly reason: string };

/** One place that events go to. Never throws for what the target does. */
export interface DeliveryTarget {
  deliver(input: DeliveryInput, signal: AbortSignal): Promise<DeliveryOutcome>;
  close(): Promise<void>;
}

/** One version of a file, to be sent to an application. */
export interface EventFile {
  readonly sizeBytes: number;
  readonly etag: string;
  /** In order, in pieces of about 1 MiB, exactly `sizeBytes`. Fails with a `StoreError`: `conflict` or `notFound` when that version is gone. */
  readonly content: AsyncIterable<Buffer>;
}

/**
 * Opens the very version of the file that an event tells of.
 *
 * @throws {StoreError} `notFound` or `conflict` when that version is gone.
 */
export type OpenEventFile = (event: FileEvent, signal: AbortSignal) => Promise<EventFile>;
