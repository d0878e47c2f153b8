import { errorCodeOf } from '@skiff/model/error-code';

/** The system's name of an error, such as `EACCES`, or its text. */
export function errorCode(error: unknown): string {
  return errorCodeOf(error) ?? String(error);
}
