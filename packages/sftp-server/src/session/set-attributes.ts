import type { VirtualPath } from '@skiff/model/virtual-path';
import type { FileAttributes } from '@skiff/sftp-protocol/backend';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import type { StoredFile } from '@skiff/storage/file-store';
import { giveUp } from '../operations/displace.ts';
import { toSftpError } from '../operations/outcome.ts';
import { attributesOf, FILE_MODE, MTIME_METADATA_KEY } from './attributes.ts';
import type { SessionFiles } from './session-files.ts';

/** SETSTAT on a finished file: modification times are kept; modes, owners and sizes are what they are. */
export async function setAttributes(files: SessionFiles, path: VirtualPath, attributes: FileAttributes): Promise<void> {
  const file = await files.stat(path);
  if (file === undefined) throw new SftpError(SftpStatus.noSuchFile, `${path}: no such file`);
  refuseUnsupported(file, attributes);
  if (attributes.modifiedAt === undefined) return;
  if (file.isDirectory) throw new SftpError(SftpStatus.unsupported, `${path}: the time of a directory cannot be set`);
  await setModifiedAt(files, path, attributes.modifiedAt);
}

/** Changes the ETag, and therefore holds the lock: an upload that is being committed must find the version it has seen. */
async function setModifiedAt(files: SessionFiles, path: VirtualPath, modifiedAt: number): Promise<void> {
  const { context } = files.props;
  const name = files.nameOf(path);
  const id = context.newOperationId();
  try {
    const { ref } = await files.begin({ id, kind: 'setstat', name, priorEtag: null, plan: undefined });
    try {
      const file = await files.stat(path);
      if (file === undefined || file.isDirectory) throw new SftpError(SftpStatus.noSuchFile, `${path}: no such file`);
      const metadata = { ...file.metadata, [MTIME_METADATA_KEY]: String(modifiedAt) };
      await context.store.setMetadata(name, metadata, { etag: file.etag, signal: files.timeout() });
    } finally {
      await giveUp(context, ref, 'attributes set');
    }
  } catch (error) {
    throw toSftpError(error, path);
  } finally {
    files.forget(path);
  }
}

function refuseUnsupported(file: StoredFile, attributes: FileAttributes): void {
  if (attributes.sizeBytes !== undefined && attributes.sizeBytes !== file.sizeBytes) {
    throw new SftpError(SftpStatus.unsupported, 'changing the size of a finished file is not supported');
  }
  const shown = attributesOf(file);
  if (attributes.mode !== undefined && (attributes.mode & 0o7777) !== ((shown.mode ?? FILE_MODE) & 0o7777)) {
    throw new SftpError(SftpStatus.unsupported, 'file modes are not kept: access is governed by the permissions of the user');
  }
  if ((attributes.uid ?? 0) !== 0 || (attributes.gid ?? 0) !== 0) {
    throw new SftpError(SftpStatus.unsupported, 'owners are not kept: access is governed by the permissions of the user');
  }
}
