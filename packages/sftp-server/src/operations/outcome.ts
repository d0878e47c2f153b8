import { StoreError } from '@skiff/model/store-error';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';

/** How the end of an operation went, for the client that waits and for recovery alike. */
export type Outcome =
  /** The effect is there and its event is recorded. `incomplete`: but not all of it; what is missing. */
  | { readonly kind: 'committed'; readonly incomplete?: string }
  /** Without effect, for good. */
  | { readonly kind: 'aborted'; readonly reason: string }
  /** Somebody else goes on with it; this writer can do no harm any more. */
  | { readonly kind: 'displaced' }
  /** Given up with an unknown or unfinished effect: whoever comes next finishes it. */
  | { readonly kind: 'parked'; readonly reason: string };

/** Turns an outcome into what the client is told: nothing, or a truthful failure. */
export function throwUnlessCommitted(outcome: Outcome): void {
  switch (outcome.kind) {
    case 'committed':
      if (outcome.incomplete !== undefined) throw new SftpError(SftpStatus.failure, outcome.incomplete);
      return;
    case 'aborted':
      throw new SftpError(SftpStatus.failure, outcome.reason);
    case 'displaced':
      throw new SftpError(SftpStatus.failure, 'the file was taken over by another session of this user');
    case 'parked':
      throw new SftpError(SftpStatus.failure, `not confirmed: ${outcome.reason}; check the file before sending it again`);
  }
}

/** Status and text for a failure of the store or the database that reached a request. */
export function toSftpError(error: unknown, subject: string): SftpError {
  if (error instanceof SftpError) return error;
  if (!(error instanceof StoreError)) return new SftpError(SftpStatus.failure, `${subject}: internal error`, error);
  switch (error.code) {
    case 'notFound':
      return new SftpError(SftpStatus.noSuchFile, `${subject}: no such file`, error);
    case 'denied':
      return new SftpError(SftpStatus.permissionDenied, `${subject}: the storage refuses access; the operator of this service has to grant it`, error);
    case 'alreadyExists':
      return new SftpError(SftpStatus.failure, `${subject}: exists already`, error);
    case 'conflict':
      return new SftpError(SftpStatus.failure, `${subject}: the file was changed meanwhile; try again`, error);
    case 'unsupported':
      return new SftpError(SftpStatus.unsupported, `${subject}: not supported by the storage`, error);
    case 'throttled':
    case 'unavailable':
      return new SftpError(SftpStatus.failure, `${subject}: the service is busy or its storage cannot be reached; try again later`, error);
    case 'invalid':
    case 'aborted':
      return new SftpError(SftpStatus.failure, `${subject}: the storage refused the request`, error);
  }
}

/** A text for the operation's row and the log, without anything secret. */
export function reasonOf(error: unknown): string {
  if (error instanceof StoreError) return error.vendorCode === undefined ? error.code : `${error.code} (${error.vendorCode})`;
  return error instanceof Error ? error.message : String(error);
}
