import type { FileAttributes } from '@skiff/sftp-protocol/backend';
import type { DirectoryEntry, StoredFile } from '@skiff/storage/file-store';

/** POSIX modes that every file and directory shows: permissions are a matter of the user's rules, not of bits (DESIGN P4). */
export const FILE_MODE = 0o100644;
const DIRECTORY_MODE = 0o040755;

/** Metadata key of a modification time that the client has set, in seconds since 1970. */
export const MTIME_METADATA_KEY = 'skiff_mtime';

export function attributesOf(file: StoredFile): FileAttributes & { readonly sizeBytes: number } {
  const set = file.metadata[MTIME_METADATA_KEY];
  const modifiedAt = set !== undefined && /^\d{1,10}$/.test(set) ? Number(set) : seconds(file.modifiedAt);
  return common(file.isDirectory, file.sizeBytes, modifiedAt);
}

export function attributesOfEntry(entry: DirectoryEntry): FileAttributes {
  return common(entry.isDirectory, entry.sizeBytes, seconds(entry.modifiedAt));
}

export function directoryAttributes(now: Date): FileAttributes & { readonly sizeBytes: number } {
  return common(true, 0, seconds(now));
}

function common(isDirectory: boolean, sizeBytes: number, modifiedAt: number): FileAttributes & { readonly sizeBytes: number } {
  return { sizeBytes, uid: 0, gid: 0, mode: isDirectory ? DIRECTORY_MODE : FILE_MODE, accessedAt: modifiedAt, modifiedAt };
}

function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
