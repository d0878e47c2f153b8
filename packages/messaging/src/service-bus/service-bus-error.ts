import { StoreError, type StoreErrorCode } from '@skiff/model/store-error';

/** By `ServiceBusError.code` (learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-exceptions-latest). */
const CODES: Readonly<Record<string, StoreErrorCode>> = {
  UnauthorizedAccess: 'denied',
  MessagingEntityNotFound: 'notFound',
  MessageNotFound: 'notFound',
  MessagingEntityAlreadyExists: 'alreadyExists',
  MessagingEntityDisabled: 'unavailable',
  MessageSizeExceeded: 'invalid',
  QuotaExceeded: 'throttled',
  ServiceBusy: 'throttled',
  ServiceTimeout: 'unavailable',
  ServiceCommunicationProblem: 'unavailable',
  MessageLockLost: 'conflict',
  SessionLockLost: 'conflict',
  SessionCannotBeLocked: 'conflict',
};

/** What Service Bus asks for (learn.microsoft.com/azure/service-bus-messaging/service-bus-throttling). */
const THROTTLED_RETRY_AFTER_MS = 10_000;

/** Turns what the SDK throws into a `StoreError`. What is not known may have had an effect: `unavailable`. */
export function toStoreError(thrown: unknown, operation: string, signal?: AbortSignal): StoreError {
  if (thrown instanceof StoreError) return thrown;
  // After several tries of its own the SDK throws all their errors as one, without a code.
  const error: unknown = thrown instanceof AggregateError ? (thrown.errors.at(-1) ?? thrown) : thrown;
  const vendorCode = codeOf(error);
  const detail = error instanceof Error ? error.message : String(error);
  const make = (code: StoreErrorCode): StoreError => {
    const retryAfterMs = code === 'throttled' ? THROTTLED_RETRY_AFTER_MS : undefined;
    return new StoreError({ code, message: `${operation}: ${detail}`, vendorCode, retryAfterMs, cause: error });
  };
  if (signal?.aborted) return make('aborted');
  const known = vendorCode === undefined ? undefined : CODES[vendorCode];
  if (known !== undefined) return make(known);
  return make('unavailable');
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error instanceof Error ? error.name : undefined;
}
