import { PathError } from '@skiff/model/virtual-path';
import { MalformedRequestError } from '../codec/body-reader.ts';
import { SftpError, SftpStatus } from '../sftp-error.ts';

/**
 * What the client is told. A path that no file can have does not exist for a request that reads, and is a bad message for one
 * that would create it; the text says which rule it breaks. Undefined: not the client's business, so log it.
 */
export function errorReply(error: unknown, writes: boolean): { readonly status: SftpStatus; readonly message: string } | undefined {
  if (error instanceof SftpError) return { status: error.status, message: error.message };
  if (error instanceof MalformedRequestError) return { status: SftpStatus.badMessage, message: error.message };
  if (error instanceof PathError) return { status: writes ? SftpStatus.badMessage : SftpStatus.noSuchFile, message: error.message };
  return undefined;
}
