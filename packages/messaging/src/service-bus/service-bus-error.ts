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

/** Turns what the SDK throws into a `StoreError`. What is not known may have had an effect: `unavailable`. */
export function toStoreError(error: unknown, operation: string, signal?: AbortSignal): StoreError {
  if (error instanceof StoreError) return error;
  const vendorCode = codeOf(error);
  const detail = error instanceof Error ? error.message : String(error);
  const make = (code: StoreErrorCode): StoreError => new StoreError({ code, message: `${operation}: ${detail}`, vendorCode, cause: error });
  if (signal?.aborted) return make('aborted');
  const known = vendorCode === undefined ? undefined : CODES[vendorCode];
  if (known !== undefined) return make(known);
  // The SDK checks its arguments with plain type errors: a message id of more than 128 characters, for instance.
  return make(error instanceof TypeError ? 'invalid' : 'unavailable');
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error instanceof Error ? error.name : undefined;
}
