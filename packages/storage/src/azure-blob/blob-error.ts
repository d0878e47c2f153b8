import { errorCodeOf } from '@skiff/model/error-code';
import { StoreError, type StoreErrorCode } from '@skiff/model/store-error';

export interface BlobAnswer {
  readonly operation: string;
  readonly status: number;
  /** `x-ms-error-code`. */
  readonly errorCode: string | undefined;
  readonly requestId: string | undefined;
  /** Seconds or an HTTP date. */
  readonly retryAfter: string | undefined;
}

/** Upper bound of what we believe of a `Retry-After`. */
const MAX_RETRY_AFTER_MS = 5 * 60_000;

/** Turns an answer of the Blob service into an error (REST docs: "Status and error codes", "Blob service error codes"). */
export function blobError(answer: BlobAnswer): StoreError {
  const { operation, status, errorCode, requestId } = answer;
  return new StoreError({
    code: codeOf(status, errorCode),
    message: `${operation} was answered with ${status}${requestId === undefined ? '' : ` (request ${requestId})`}`,
    vendorCode: errorCode ?? `Http${status}`,
    retryAfterMs: retryAfterMs(answer.retryAfter),
  });
}

// Where the status alone would mislead.
const BY_ERROR_CODE: Readonly<Record<string, StoreErrorCode>> = {
  // A missing container is not a missing file: nobody may conclude from it that an upload is lost.
  ContainerNotFound: 'unavailable',
  ContainerBeingDeleted: 'unavailable',
  ContainerDisabled: 'unavailable',
  AccountBeingCreated: 'unavailable',
  ServerBusy: 'throttled',
  OperationTimedOut: 'unavailable',
  // Held by somebody's lease or policy: asking again does not help.
  LeaseIdMissing: 'denied',
  BlobImmutableDueToPolicy: 'denied',
  SnapshotsPresent: 'unsupported',
  BlobArchived: 'unsupported',
  BlobBeingRehydrated: 'unsupported',
  InvalidBlobType: 'unsupported',
};

function codeOf(status: number, errorCode: string | undefined): StoreErrorCode {
  const known = errorCode === undefined ? undefined : BY_ERROR_CODE[errorCode];
  if (known !== undefined) return known;
  switch (status) {
    case 401:
    case 403:
      return 'denied';
    case 404:
      return 'notFound';
    case 405:
    case 501:
      return 'unsupported';
    case 408:
      return 'unavailable';
    case 409:
    case 412:
      return 'conflict';
    case 429:
    case 503:
      return 'throttled';
    default:
      return status >= 400 && status < 500 ? 'invalid' : 'unavailable';
  }
}

function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}

/** No answer, or half of one: the outcome is unknown. The cause carries no headers, and so no credential. */
export function connectionError(operation: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  return new StoreError({ code: 'unavailable', message: `${operation} failed: ${text}`, vendorCode: errorCodeOf(cause) ?? 'ConnectionError' });
}
