import { errorCodeOf } from '@skiff/model/error-code';
import { StoreError, type StoreErrorCode } from '@skiff/model/store-error';

const CODES: Readonly<Record<string, StoreErrorCode>> = {
  ENOENT: 'notFound',
  EACCES: 'denied',
  EPERM: 'denied',
  EROFS: 'denied',
  // A symbolic link where none may be.
  ELOOP: 'denied',
  EEXIST: 'conflict',
  EISDIR: 'conflict',
  ENOTDIR: 'conflict',
  ENOTEMPTY: 'conflict',
  ENAMETOOLONG: 'invalid',
  EINVAL: 'invalid',
};

/** Turns an error of the file system into one of the port; the paths in its text are the server's own and stay in the cause. */
export function localError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const errno = errorCodeOf(error);
  const code = (errno === undefined ? undefined : CODES[errno]) ?? 'unavailable';
  return new StoreError({ code, message: `the file system answered ${errno ?? 'with an error'}`, vendorCode: errno, cause: error });
}

/** Waits; an error of the given kinds counts as an answer. */
export async function unless<Result>(errnos: readonly string[], work: Promise<Result>): Promise<Result | undefined> {
  try {
    return await work;
  } catch (error) {
    const errno = errorCodeOf(error);
    if (errno !== undefined && errnos.includes(errno)) return undefined;
    throw error;
  }
}
