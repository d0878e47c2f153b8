import { isPermitted } from '@skiff/model/permission';
import { isWithin, ROOT_PATH, type VirtualPath } from '@skiff/model/virtual-path';
import type { FileAttributes, OpenDirectory, OpenFile, OpenFlags, SftpBackend } from '@skiff/sftp-protocol/backend';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import type { StoredFile } from '@skiff/storage/file-store';
import { Download } from '../download/download.ts';
import { displaceOpen, giveUp } from '../operations/displace.ts';
import { toSftpError } from '../operations/outcome.ts';
import { Upload, type UploadProps } from '../upload/upload.ts';
import { attributesOf, directoryAttributes } from './attributes.ts';
import { makeDirectory, removeDirectory, removeFile, rename } from './change-names.ts';
import { openListing } from './open-listing.ts';
import { downloadedEvent, planEvent } from './plan-event.ts';
import { takeOverUpload, unfinishedUpload } from './resume-upload.ts';
import type { SessionFiles } from './session-files.ts';
import { setAttributes } from './set-attributes.ts';
import { UnfinishedUploads } from './unfinished-uploads.ts';

/** One logged-in channel: what the user sees of the store, and the files being transferred. */
export class FileSession implements SftpBackend {
  readonly #files: SessionFiles;
  readonly #unfinished: UnfinishedUploads;
  readonly #uploads = new Map<VirtualPath, Upload>();

  constructor(files: SessionFiles) {
    this.#files = files;
    this.#unfinished = new UnfinishedUploads(files);
  }

  async open(path: VirtualPath, flags: OpenFlags): Promise<OpenFile> {
    if (path === ROOT_PATH) throw new SftpError(SftpStatus.failure, '/: is a directory');
    if (!flags.write) return this.#openForReading(path);
    if (flags.read) throw new SftpError(SftpStatus.unsupported, 'opening a file for reading and writing at once is not supported');
    try {
      return await this.#openForWriting(path, flags);
    } catch (error) {
      throw toSftpError(error, path);
    }
  }

  async #openForReading(path: VirtualPath): Promise<OpenFile> {
    const file = await this.#files.stat(path);
    if (file === undefined) throw new SftpError(SftpStatus.noSuchFile, `${path}: no such file`);
    if (file.isDirectory) throw new SftpError(SftpStatus.failure, `${path}: is a directory`);
    const { context, budget, user, clientAddress } = this.#files.props;
    const name = this.#files.nameOf(path);
    const { etag, sizeBytes } = file;
    return new Download({
      store: context.store,
      budget,
      name,
      etag,
      attributes: attributesOf(file),
      onEnd: ({ untouched, ...sent }) => {
        if (untouched || !context.emits('dev.skiff.file.downloaded')) return;
        context.onDownloaded(downloadedEvent(context, { username: user.username, clientAddress, path, name, etag, sizeBytes, ...sent }));
      },
    });
  }

  async #openForWriting(path: VirtualPath, flags: OpenFlags): Promise<OpenFile> {
    if (this.#uploads.get(path)?.isLive === true) throw new SftpError(SftpStatus.failure, `${path}: is being uploaded in this session already`);
    const present = this.#checkPresent(path, await this.#files.recentStat(path), flags);
    if (flags.exclusive) return this.#startExclusively(path, flags);
    if (flags.truncate) return this.#track(new Upload(this.#uploadProps(path, present?.etag ?? null)));
    const resumed = await takeOverUpload(this.#files, path).finally(() => this.#unfinished.forget());
    if (resumed !== undefined) return this.#track(new Upload({ ...this.#uploadProps(path, resumed.priorEtag, resumed.ref.id), resumed }));
    // What was found unfinished may have been completed just now.
    const now = this.#checkPresent(path, await this.#files.recentStat(path), flags);
    if (now === undefined && !flags.create) throw new SftpError(SftpStatus.noSuchFile, `${path}: no such file`);
    if (now !== undefined && now.sizeBytes > 0) {
      throw new SftpError(SftpStatus.unsupported, `${path}: changing or extending a finished file is not supported; send it whole`);
    }
    return this.#track(new Upload(this.#uploadProps(path, now?.etag ?? null)));
  }

  #checkPresent(path: VirtualPath, present: StoredFile | undefined, flags: OpenFlags): StoredFile | undefined {
    if (present === undefined) return undefined;
    if (present.isDirectory) throw new SftpError(SftpStatus.failure, `${path}: is a directory`);
    if (flags.exclusive) throw new SftpError(SftpStatus.failure, `${path}: exists already`);
    const refusal = this.#refuseReplacing(path);
    if (refusal !== undefined) throw new SftpError(SftpStatus.permissionDenied, refusal);
    return present;
  }

  /** The lock is taken before the last look: whoever came first has the name. */
  async #startExclusively(path: VirtualPath, flags: OpenFlags): Promise<Upload> {
    const props = this.#uploadProps(path, null);
    const { id, name } = props;
    const { ref } = await this.#files.begin({ id, kind: 'upload', name, priorEtag: null, plan: undefined, exclusive: true });
    try {
      this.#checkPresent(path, await this.#files.stat(path), flags);
    } catch (error) {
      await giveUp(this.#files.props.context, ref, 'the name was taken');
      throw error;
    }
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
      refuseReplacing: () => this.#refuseReplacing(path),
      onEnd: (upload) => {
        if (this.#uploads.get(path) === upload) this.#uploads.delete(path);
        this.#files.forget(path);
        if (upload.hasRow) this.#unfinished.forget();
      },
    };
  }

  async stat(path: VirtualPath): Promise<FileAttributes> {
    const upload = this.#uploads.get(path);
    if (upload?.isLive === true) return upload.stat();
    const file = await this.#files.stat(path);
    const unfinished = file?.isDirectory === true ? undefined : await this.#shown(path, file);
    if (unfinished !== undefined) return unfinished;
    if (file !== undefined) return attributesOf(file);
    if (path === ROOT_PATH) return directoryAttributes(this.#files.props.context.clock.now());
    throw new SftpError(SftpStatus.noSuchFile, `${path}: no such file`);
  }

  async #shown(path: VirtualPath, present: StoredFile | undefined): Promise<FileAttributes | undefined> {
    try {
      return await this.#unfinished.attributesOf(path, present);
    } catch (error) {
      throw toSftpError(error, path);
    }
  }

  openDirectory(path: VirtualPath): Promise<OpenDirectory> {
    return openListing({ files: this.#files, unfinished: this.#unfinished, uploads: [...this.#uploads.values()], path });
  }

  async setStat(path: VirtualPath, attributes: FileAttributes): Promise<void> {
    const upload = this.#uploads.get(path);
    if (upload?.isLive === true) return upload.setStat(attributes);
    await setAttributes(this.#files, path, attributes);
  }

  async remove(path: VirtualPath): Promise<void> {
    // What is shown as an unfinished file is one: removing it ends the upload, and what it was to replace goes as well.
    if ((await this.#endUnfinished(path)) && (await this.#files.stat(path)) === undefined) return;
    await removeFile(this.#files, path);
  }

  async #endUnfinished(path: VirtualPath): Promise<boolean> {
    const own = this.#uploads.get(path);
    if (own?.isLive === true && !own.hasRow) {
      own.displace('the file was removed');
      return true;
    }
    const row = await unfinishedUpload(this.#files, path);
    if (row === undefined || row.state !== 'open') return false;
    this.#unfinished.forget();
    own?.displace('the file was removed');
    return displaceOpen(this.#files.props.context, row, 'removed by its user');
  }

  async rename(source: VirtualPath, target: VirtualPath, { replace }: { readonly replace: boolean }): Promise<void> {
    for (const upload of this.#uploads.values()) {
      // Without a row as yet it would be finished under a name that has gone.
      if (upload.isLive && upload.path !== source && upload.path !== target && (isWithin(upload.path, source) || isWithin(upload.path, target))) {
        throw new SftpError(SftpStatus.failure, `${upload.path}: is being uploaded in this session; try again when it is complete`);
      }
    }
    await rename(this.#files, source, target, { replace, refuseReplacing: () => (replace ? this.#refuseReplacing(target) : `${target}: exists already`) });
  }

  makeDirectory(path: VirtualPath): Promise<void> {
    return makeDirectory(this.#files, path);
  }

  removeDirectory(path: VirtualPath): Promise<void> {
    return removeDirectory(this.#files, path);
  }

  #refuseReplacing(path: VirtualPath): string | undefined {
    if (isPermitted(this.#files.props.user.permissions(), 'Overwrite', path)) return undefined;
    return `${path}: exists, and replacing files is not permitted here`;
  }

  end(): void {
    for (const upload of this.#uploads.values()) upload.abandon();
  }
}
