import type { OperationRef, OperationRow } from '@skiff/database/operation-log';
import { isPermitted } from '@skiff/model/permission';
import { baseName, parentPath, ROOT_PATH, type VirtualPath } from '@skiff/model/virtual-path';
import type { FileAttributes, OpenDirectory, OpenFile, OpenFlags, SftpBackend } from '@skiff/sftp-protocol/backend';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import type { StoredFile } from '@skiff/storage/file-store';
import { Download } from '../download/download.ts';
import { withDatabase } from '../operations/finish.ts';
import { toSftpError } from '../operations/outcome.ts';
import { finishOrphan } from '../recovery/finish-orphan.ts';
import { contiguousPrefix } from '../upload/block-id.ts';
import { Upload, type UploadProps } from '../upload/upload.ts';
import { attributesOf, attributesOfEntry, directoryAttributes, FILE_MODE, MTIME_METADATA_KEY } from './attributes.ts';
import { makeDirectory, removeDirectory, removeFile, renameFile } from './change-names.ts';
import { planEvent } from './plan-event.ts';
import type { SessionFiles } from './session-files.ts';

/** One logged-in channel: what the user sees of the store, and the files being transferred. */
export class FileSession implements SftpBackend {
  readonly #files: SessionFiles;
  readonly #uploads = new Map<VirtualPath, Upload>();

  constructor(files: SessionFiles) {
    this.#files = files;
  }

  async open(path: VirtualPath, flags: OpenFlags): Promise<OpenFile> {
    if (path === ROOT_PATH) throw new SftpError(SftpStatus.failure, '/: is a directory');
    if (!flags.write) return this.#openForReading(path);
    if (flags.read) throw new SftpError(SftpStatus.unsupported, 'opening a file for reading and writing at once is not supported');
    return this.#openForWriting(path, flags);
  }

  async #openForReading(path: VirtualPath): Promise<OpenFile> {
    const file = await this.#files.stat(path);
    if (file === undefined) throw new SftpError(SftpStatus.noSuchFile, `${path}: no such file`);
    if (file.isDirectory) throw new SftpError(SftpStatus.failure, `${path}: is a directory`);
    const { context, budget } = this.#files.props;
    const name = this.#files.nameOf(path);
    return new Download({ store: context.store, budget, name, etag: file.etag, attributes: attributesOf(file), onEnd: () => undefined });
  }

  async #openForWriting(path: VirtualPath, flags: OpenFlags): Promise<OpenFile> {
    if (this.#uploads.has(path)) throw new SftpError(SftpStatus.failure, `${path}: is being uploaded in this session already`);
    const present = await this.#files.recentStat(path);
    if (present?.isDirectory === true) throw new SftpError(SftpStatus.failure, `${path}: is a directory`);
    if (present !== undefined && flags.exclusive) throw new SftpError(SftpStatus.failure, `${path}: exists already`);
    if (present !== undefined) this.#demand('Overwrite', path);
    if (flags.truncate || flags.exclusive) return this.#startUpload(path, present, flags.exclusive);
    const resumed = await this.#resume(path, present);
    if (resumed !== undefined) return resumed;
    if (present === undefined && !flags.create) throw new SftpError(SftpStatus.noSuchFile, `${path}: no such file`);
    if (present !== undefined && present.sizeBytes > 0) {
      throw new SftpError(SftpStatus.unsupported, `${path}: changing or extending a finished file is not supported; send it whole`);
    }
    return this.#startUpload(path, present, false);
  }

  async #startUpload(path: VirtualPath, present: StoredFile | undefined, exclusive: boolean): Promise<Upload> {
    const props = this.#uploadProps(path, present?.etag ?? null);
    if (!exclusive) return this.#track(new Upload(props));
    const { ref } = await props.begin(undefined);
    return this.#track(new Upload({ ...props, resumed: { ref, blocks: [], sizeBytes: 0 } }));
  }

  #track(upload: Upload): Upload {
    this.#uploads.set(upload.path, upload);
    return upload;
  }

  #uploadProps(path: VirtualPath, priorEtag: string | null, id = this.#files.props.context.newOperationId()): UploadProps {
    const { context, budget, user, clientAddress } = this.#files.props;
    const name = this.#files.nameOf(path);
    const subject = { id, type: 'dev.skiff.file.uploaded', username: user.username, clientAddress, path, name } as const;
    return {
      context,
      budget,
      id,
      path,
      name,
      priorEtag,
      begin: (plan) => this.#files.begin({ id, kind: 'upload', name, priorEtag, plan }),
      planEvent: (sizeBytes) => planEvent(context, { ...subject, sizeBytes }),
      onEnd: () => {
        this.#uploads.delete(path);
        this.#files.forget(path);
      },
    };
  }

  /** Goes on with an unfinished upload of this user: on this pod or another, after a cut or beside a session that hangs (DESIGN P2.8, P3). */
  async #resume(path: VirtualPath, present: StoredFile | undefined): Promise<Upload | undefined> {
    const { context } = this.#files.props;
    const row = await this.#unfinishedUpload(path);
    if (row === undefined) return undefined;
    if (row.state === 'committing') {
      if (row.owner !== null) throw new SftpError(SftpStatus.failure, `${path}: is just being completed; try again`);
      await finishOrphan(context, row);
      return undefined;
    }
    const ref: OperationRef | undefined = await context.log.adopt(row, context.lease.instance);
    if (ref === undefined) throw new SftpError(SftpStatus.failure, `${path}: another session has just taken the upload over`);
    const staged = await context.store.listStagedBlocks(this.#files.nameOf(path), this.#files.timeout());
    const prefix = contiguousPrefix(staged, row.id);
    const props = this.#uploadProps(path, present?.etag ?? null, row.id);
    return this.#track(new Upload({ ...props, priorEtag: row.priorEtag, resumed: { ref, ...prefix } }));
  }

  /** The unfinished upload of a path, if it is this user's. */
  async #unfinishedUpload(path: VirtualPath): Promise<OperationRow | undefined> {
    const { context, user } = this.#files.props;
    const answer = await withDatabase(context, () => context.log.findByLock(this.#files.lockKey(this.#files.nameOf(path))));
    if (answer === undefined) throw new SftpError(SftpStatus.failure, 'the service is busy: its database cannot be reached; try again later');
    const row = answer.value;
    return row !== undefined && row.kind === 'upload' && row.username === user.username && row.endpointId === context.endpoint.id ? row : undefined;
  }

  async stat(path: VirtualPath): Promise<FileAttributes> {
    const upload = this.#uploads.get(path);
    if (upload !== undefined) return upload.stat();
    const file = await this.#files.stat(path);
    if (file !== undefined) return attributesOf(file);
    if (path === ROOT_PATH) return directoryAttributes(this.#files.props.context.clock.now());
    throw new SftpError(SftpStatus.noSuchFile, `${path}: no such file`);
  }

  async openDirectory(path: VirtualPath): Promise<OpenDirectory> {
    if (path !== ROOT_PATH) {
      const directory = await this.#files.stat(path);
      if (directory === undefined) throw new SftpError(SftpStatus.noSuchFile, `${path}: no such directory`);
      if (!directory.isDirectory) throw new SftpError(SftpStatus.failure, `${path}: not a directory`);
    }
    const { store } = this.#files.props.context;
    const abort = new AbortController();
    const pages = store.list(this.#files.nameOf(path), abort.signal)[Symbol.asyncIterator]();
    const own = new Map([...this.#uploads.values()].filter((upload) => parentPath(upload.path) === path).map((upload) => [baseName(upload.path), upload]));
    return {
      next: async () => {
        try {
          const page = await pages.next();
          if (page.done !== true) {
            return page.value.filter((entry) => !own.has(entry.name)).map((entry) => ({ name: entry.name, attributes: attributesOfEntry(entry) }));
          }
          if (own.size === 0) return undefined;
          const last = await Promise.all([...own].map(async ([name, upload]) => ({ name, attributes: await upload.stat() })));
          own.clear();
          return last;
        } catch (error) {
          throw toSftpError(error, path);
        }
      },
      close: () => abort.abort(),
    };
  }

  /** Modification times are kept; modes, owners and sizes are what they are. */
  async setStat(path: VirtualPath, attributes: FileAttributes): Promise<void> {
    const upload = this.#uploads.get(path);
    if (upload !== undefined) return upload.setStat(attributes);
    const file = await this.#files.stat(path);
    if (file === undefined) throw new SftpError(SftpStatus.noSuchFile, `${path}: no such file`);
    refuseUnsupported(file, attributes);
    if (attributes.modifiedAt === undefined) return;
    if (file.isDirectory) throw new SftpError(SftpStatus.unsupported, `${path}: the time of a directory cannot be set`);
    await this.#setModifiedAt(path, file, attributes.modifiedAt);
  }

  async #setModifiedAt(path: VirtualPath, file: StoredFile, modifiedAt: number): Promise<void> {
    const { context } = this.#files.props;
    const name = this.#files.nameOf(path);
    const holder = await withDatabase(context, () => context.log.findByLock(this.#files.lockKey(name)));
    if (holder === undefined || holder.value !== undefined) throw new SftpError(SftpStatus.failure, `${path}: is in use; try again`);
    try {
      await context.store.setMetadata(name, { ...file.metadata, [MTIME_METADATA_KEY]: String(modifiedAt) }, { etag: file.etag, signal: this.#files.timeout() });
    } catch (error) {
      throw toSftpError(error, path);
    } finally {
      this.#files.forget(path);
    }
  }

  async remove(path: VirtualPath): Promise<void> {
    if (this.#uploads.has(path)) throw new SftpError(SftpStatus.failure, `${path}: is being uploaded in this session`);
    if (await this.#abortUnfinished(path)) {
      if ((await this.#files.stat(path)) === undefined) return;
    }
    await removeFile(this.#files, path);
  }

  /** Removing what is shown as an unfinished file ends its upload. */
  async #abortUnfinished(path: VirtualPath): Promise<boolean> {
    const { context } = this.#files.props;
    const row = await this.#unfinishedUpload(path);
    if (row === undefined || row.state !== 'open' || row.owner !== null) return false;
    const ref = await context.log.adopt(row, context.lease.instance);
    return ref !== undefined && (await context.log.abort(ref, 'removed by its user'));
  }

  async rename(source: VirtualPath, target: VirtualPath, options: { readonly replace: boolean }): Promise<void> {
    if (options.replace && (await this.#files.stat(target)) !== undefined) this.#demand('Overwrite', target);
    await renameFile(this.#files, source, target, options.replace);
  }

  makeDirectory(path: VirtualPath): Promise<void> {
    return makeDirectory(this.#files, path);
  }

  removeDirectory(path: VirtualPath): Promise<void> {
    return removeDirectory(this.#files, path);
  }

  #demand(permission: 'Overwrite', path: VirtualPath): void {
    if (isPermitted(this.#files.props.user.permissions(), permission, path)) return;
    throw new SftpError(SftpStatus.permissionDenied, `${path}: exists, and replacing files is not permitted here`);
  }

  end(): void {
    for (const upload of this.#uploads.values()) upload.abandon();
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
