import { baseName, parentPath, ROOT_PATH, type VirtualPath } from '@skiff/model/virtual-path';
import type { FileAttributes, ListedEntry, OpenDirectory } from '@skiff/sftp-protocol/backend';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import { toSftpError } from '../operations/outcome.ts';
import type { Upload } from '../upload/upload.ts';
import { attributesOfEntry } from './attributes.ts';
import type { SessionFiles } from './session-files.ts';
import type { UnfinishedUploads } from './unfinished-uploads.ts';

export interface ListingProps {
  readonly files: SessionFiles;
  readonly unfinished: UnfinishedUploads;
  /** Open in this session. */
  readonly uploads: readonly Upload[];
  readonly path: VirtualPath;
}

/** A directory page by page; files that this user has not finished are shown with the length to resume from. */
export async function openListing({ files, unfinished, uploads, path }: ListingProps): Promise<OpenDirectory> {
  if (path !== ROOT_PATH) {
    const directory = await files.stat(path);
    if (directory === undefined) throw new SftpError(SftpStatus.noSuchFile, `${path}: no such directory`);
    if (!directory.isDirectory) throw new SftpError(SftpStatus.failure, `${path}: not a directory`);
  }
  const own = new Map<string, () => Promise<FileAttributes | undefined>>(await unfinished.within(path));
  for (const upload of uploads) if (upload.isLive && parentPath(upload.path) === path) own.set(baseName(upload.path), () => upload.stat());
  const abort = new AbortController();
  const pages = files.props.context.store.list(files.nameOf(path), abort.signal)[Symbol.asyncIterator]();
  return {
    next: async () => {
      try {
        const page = await pages.next();
        if (page.done !== true) {
          const entries: ListedEntry[] = [];
          for (const entry of page.value) {
            const shown = entry.isDirectory ? undefined : await own.get(entry.name)?.();
            own.delete(entry.name);
            entries.push({ name: entry.name, attributes: shown ?? attributesOfEntry(entry) });
          }
          return entries;
        }
        if (own.size === 0) return undefined;
        const last: ListedEntry[] = [];
        for (const [name, attributes] of own) {
          const shown = await attributes();
          if (shown !== undefined) last.push({ name, attributes: shown });
        }
        own.clear();
        return last;
      } catch (error) {
        throw toSftpError(error, path);
      }
    },
    close: () => abort.abort(),
  };
}
