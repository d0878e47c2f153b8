import type { VirtualPath } from '@skiff/model/virtual-path';
import type { ListedEntry, OpenDirectory, OpenFile, OpenFlags } from '../backend.ts';
import { SftpError, SftpStatus } from '../sftp-error.ts';
import { SharedExclusiveQueue } from './shared-exclusive-queue.ts';

export interface FileHandle {
  readonly kind: 'file';
  readonly path: VirtualPath;
  readonly flags: OpenFlags;
  readonly file: OpenFile;
  /** READ and WRITE are shared; FSTAT, FSETSTAT and CLOSE wait for what came before and hold up what comes after. */
  readonly queue: SharedExclusiveQueue;
}

export interface DirectoryHandle {
  readonly kind: 'directory';
  readonly path: VirtualPath;
  readonly directory: OpenDirectory;
  /** Entries that did not fit into the last reply. */
  readonly leftover: ListedEntry[];
  readonly queue: SharedExclusiveQueue;
}

export type Handle = FileHandle | DirectoryHandle;

const HANDLE_MASK = 0xffffffff;

/** The open handles of one channel: four opaque bytes each, not given out again soon. */
export class HandleTable {
  readonly #handles = new Map<number, Handle>();
  readonly #maxHandles: number;
  #reserved = 0;
  #last = 0;

  constructor(maxHandles: number) {
    this.#maxHandles = maxHandles;
  }

  get size(): number {
    return this.#handles.size;
  }

  /** Keeps a place for an OPEN in progress; give it back by `add` or `unreserve`. @throws {SftpError} when there is none. */
  reserve(): void {
    if (this.#handles.size + this.#reserved >= this.#maxHandles) {
      throw new SftpError(SftpStatus.failure, `too many open files and directories: at most ${this.#maxHandles} per session`);
    }
    this.#reserved++;
  }

  unreserve(): void {
    this.#reserved--;
  }

  add(handle: Handle): number {
    this.#reserved--;
    do this.#last = (this.#last + 1) & HANDLE_MASK;
    while (this.#handles.has(this.#last >>> 0));
    this.#handles.set(this.#last >>> 0, handle);
    return this.#last >>> 0;
  }

  /** @throws {SftpError} for a handle that is not open here. */
  get(id: number | undefined): Handle {
    const handle = id === undefined ? undefined : this.#handles.get(id);
    if (handle === undefined) throw new SftpError(SftpStatus.failure, 'no such handle');
    return handle;
  }

  /** @throws {SftpError} for a handle that is not open here or not a file. */
  file(id: number | undefined): FileHandle {
    const handle = this.get(id);
    if (handle.kind !== 'file') throw new SftpError(SftpStatus.failure, 'handle is not a file');
    return handle;
  }

  /** @throws {SftpError} for a handle that is not open here or not a directory. */
  directory(id: number | undefined): DirectoryHandle {
    const handle = this.get(id);
    if (handle.kind !== 'directory') throw new SftpError(SftpStatus.failure, 'handle is not a directory');
    return handle;
  }

  delete(id: number): void {
    this.#handles.delete(id);
  }

  takeAll(): readonly Handle[] {
    const all = [...this.#handles.values()];
    this.#handles.clear();
    return all;
  }
}

export function newFileHandle(path: VirtualPath, flags: OpenFlags, file: OpenFile): FileHandle {
  return { kind: 'file', path, flags, file, queue: new SharedExclusiveQueue() };
}

export function newDirectoryHandle(path: VirtualPath, directory: OpenDirectory): DirectoryHandle {
  return { kind: 'directory', path, directory, leftover: [], queue: new SharedExclusiveQueue() };
}
