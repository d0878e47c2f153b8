import type { VirtualPath } from '@skiff/model/virtual-path';

/** `SSH_FXP_ATTRS` of draft-ietf-secsh-filexfer-02, section 5. Times in seconds since 1970. */
export interface FileAttributes {
  readonly sizeBytes?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Type and permission bits as in POSIX `st_mode`. */
  readonly mode?: number;
  readonly accessedAt?: number;
  readonly modifiedAt?: number;
}

/** `pflags` of SSH_FXP_OPEN, section 6.3. */
export interface OpenFlags {
  readonly read: boolean;
  readonly write: boolean;
  readonly append: boolean;
  readonly create: boolean;
  readonly truncate: boolean;
  readonly exclusive: boolean;
}

export interface ListedEntry {
  readonly name: string;
  readonly attributes: FileAttributes;
}

/**
 * An open file. The dispatcher may call `read` and `write` many times before earlier calls have settled, in the order of
 * the client's requests; `close` is called once, after all of them have settled.
 */
export interface OpenFile {
  /** Bytes as they came, not copied; the callee owns the parts. Resolves when they are accepted: until then they count against the session's bytes in flight. */
  write(offset: number, parts: readonly Buffer[], sizeBytes: number): Promise<void> | void;
  /** At most `length` bytes, fewer only at the end of the file; `undefined` at or after the end. */
  read(offset: number, length: number): Promise<{ readonly parts: readonly Buffer[]; readonly sizeBytes: number } | undefined>;
  stat(): Promise<FileAttributes>;
  setStat(attributes: FileAttributes): Promise<void>;
  close(): Promise<void>;
  /** The channel went away without SSH_FXP_CLOSE. Called in place of `close`. Must not throw. */
  abandon(): void;
}

export interface OpenDirectory {
  /** The next entries, in chunks of the backend's choice; `undefined` at the end. */
  next(): Promise<readonly ListedEntry[] | undefined>;
  close(): void;
}

/**
 * What a logged-in user's channel can do. Failures are thrown as {@link SftpError}; anything else becomes SSH_FX_FAILURE and
 * is logged. Calls of one channel overlap, except that a call waits for earlier ones on the same path, or on one above or
 * below it, when either changes something; the `close` of a file that was opened for writing counts as such a change.
 */
export interface SftpBackend {
  open(path: VirtualPath, flags: OpenFlags, attributes: FileAttributes): Promise<OpenFile>;
  openDirectory(path: VirtualPath): Promise<OpenDirectory>;
  /** Links do not exist, so LSTAT is STAT. */
  stat(path: VirtualPath): Promise<FileAttributes>;
  setStat(path: VirtualPath, attributes: FileAttributes): Promise<void>;
  remove(path: VirtualPath): Promise<void>;
  /** SSH_FXP_RENAME fails when the target exists; posix-rename@openssh.com replaces it. */
  rename(source: VirtualPath, target: VirtualPath, options: { readonly replace: boolean }): Promise<void>;
  makeDirectory(path: VirtualPath): Promise<void>;
  removeDirectory(path: VirtualPath): Promise<void>;
  /** The channel is closed; everything it held is abandoned before. */
  end(): void;
}
