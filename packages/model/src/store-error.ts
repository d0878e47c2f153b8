/** What an adapter of a store, bus or database may answer; nothing above the adapter sees a vendor's error type. */
export type StoreErrorCode = 'notFound' | 'alreadyExists' | 'denied' | 'conflict' | 'throttled' | 'unavailable' | 'unsupported' | 'invalid' | 'aborted';

export interface StoreErrorProps {
  readonly code: StoreErrorCode;
  readonly message: string;
  /** The vendor's own code, for the log: `InvalidBlockList`, `ER_LOCK_DEADLOCK`. */
  readonly vendorCode?: string | undefined;
  /** Set from `Retry-After`. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** `conflict`: a condition (If-Match, If-None-Match) did not hold. `unavailable`: the outcome may be unknown; retry or ask. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  readonly vendorCode: string | undefined;
  readonly retryAfterMs: number | undefined;
  constructor(props: StoreErrorProps) {
    super(props.message, props.cause === undefined ? undefined : { cause: props.cause });
    this.name = 'StoreError';
    this.code = props.code;
    this.vendorCode = props.vendorCode;
    this.retryAfterMs = props.retryAfterMs;
  }
}

/** True for answers that the same call may not give a moment later. */
export function isTransient(error: unknown): boolean {
  return error instanceof StoreError && (error.code === 'throttled' || error.code === 'unavailable');
}
