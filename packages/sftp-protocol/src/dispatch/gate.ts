import type { Permission } from '@skiff/model/permission';
import type { VirtualPath } from '@skiff/model/virtual-path';
import type { SftpError } from '../sftp-error.ts';

export type RequestName =
  | 'OPEN'
  | 'CLOSE'
  | 'READ'
  | 'WRITE'
  | 'LSTAT'
  | 'FSTAT'
  | 'SETSTAT'
  | 'FSETSTAT'
  | 'OPENDIR'
  | 'READDIR'
  | 'REMOVE'
  | 'MKDIR'
  | 'RMDIR'
  | 'REALPATH'
  | 'STAT'
  | 'RENAME'
  | 'READLINK'
  | 'SYMLINK'
  | 'posix-rename@openssh.com'
  | 'limits@openssh.com';

/** What a request is about to do, before anything of it is done. */
export interface GateRequest {
  readonly name: RequestName;
  /** Whether it may change anything; an OPEN does when it opens for writing. */
  readonly writes: boolean;
  /** What it needs on `path`; empty for STAT, LSTAT and REALPATH. An OPEN may need Read and Write. */
  readonly permissions: readonly Permission[];
  readonly path: VirtualPath;
  /** The other end of a rename. */
  readonly target?: VirtualPath;
}

/**
 * The one permission gate: asked once per request that names a path, and for FSETSTAT with the path of its handle. READ,
 * WRITE, READDIR, FSTAT and CLOSE were decided when their handle was opened. A returned error is the answer.
 */
export type Gate = (request: GateRequest) => SftpError | undefined;
