import { isRecord } from '@skiff/model/is-record';
import { StoreError, type StoreErrorCode } from '@skiff/model/store-error';

/**
 * What the API server answered in place of success, or why it gave no answer. `vendorCode` is the `reason` of its Status.
 * `conflict`: another writer was first, or the resource version is gone; `unavailable`: the outcome of a write is unknown.
 */
export class KubeError extends StoreError {
  /** HTTP status; 0 when there was no answer. */
  readonly httpStatus: number;
  constructor(props: ConstructorParameters<typeof StoreError>[0] & { readonly httpStatus: number }) {
    super(props);
    this.name = 'KubeError';
    this.httpStatus = props.httpStatus;
  }
}

/** The resource version, or the page token, is older than what the API server remembers: list again. */
export function isExpired(error: unknown): boolean {
  return error instanceof KubeError && (error.httpStatus === 410 || error.vendorCode === 'Expired' || error.vendorCode === 'Gone');
}

export function isNotFound(error: unknown): boolean {
  return error instanceof KubeError && error.code === 'notFound';
}

/** For an HTTP answer, or a Status object inside a watch. `retryAfter` is the header: seconds. */
export function statusError(httpStatus: number, body: unknown, retryAfter?: string): KubeError {
  const status = isRecord(body) ? body : {};
  const reason = typeof status.reason === 'string' ? status.reason : undefined;
  const message = typeof status.message === 'string' ? status.message : `the API server answered ${httpStatus}`;
  return new KubeError({
    code: codeOf(httpStatus, reason),
    httpStatus,
    // The server quotes objects in its messages; a log line has its bound.
    message: message.slice(0, 2048),
    vendorCode: reason,
    retryAfterMs: retryAfterMs(retryAfter, status.details),
  });
}

export function noAnswer(message: string, cause?: unknown): KubeError {
  return new KubeError({ code: 'unavailable', httpStatus: 0, message, cause });
}

export function abortedByCaller(cause: unknown): KubeError {
  return new KubeError({ code: 'aborted', httpStatus: 0, message: 'the caller gave up', cause });
}

function codeOf(httpStatus: number, reason: string | undefined): StoreErrorCode {
  switch (httpStatus) {
    case 400:
    case 413:
    case 422:
      return 'invalid';
    case 401:
    case 403:
      return 'denied';
    case 404:
      return 'notFound';
    case 405:
    case 406:
    case 415:
      return 'unsupported';
    case 409:
      return reason === 'AlreadyExists' ? 'alreadyExists' : 'conflict';
    case 410:
    case 412:
      return 'conflict';
    case 429:
      return 'throttled';
    default:
      return 'unavailable';
  }
}

function retryAfterMs(header: string | undefined, details: unknown): number | undefined {
  const named = header === undefined || !/^\d{1,6}$/.test(header) ? undefined : Number(header);
  const inBody = isRecord(details) && typeof details.retryAfterSeconds === 'number' ? details.retryAfterSeconds : undefined;
  const seconds = named ?? inBody;
  return seconds === undefined || seconds <= 0 ? undefined : seconds * 1000;
}
