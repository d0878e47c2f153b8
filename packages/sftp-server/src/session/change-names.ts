import type { CommitPlan } from '@skiff/database/operation-log';
import type { FileEventType } from '@skiff/model/file-event';
import { type OperationId, type OperationKind, UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import { type BlobName, ROOT_PATH, type VirtualPath } from '@skiff/model/virtual-path';
import type { FailpointName } from '@skiff/runtime/failpoint';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import type { StoredFile } from '@skiff/storage/file-store';
import { makeDirectoryEffect, removeDirectoryEffect } from '../operations/directory-effects.ts';
import { type FinishProps, finish } from '../operations/finish.ts';
import { throwUnlessCommitted, toSftpError } from '../operations/outcome.ts';
import { removeEffect } from '../operations/remove-effect.ts';
import { renameEffect } from '../operations/rename-effect.ts';
import { planEvent } from './plan-event.ts';
import { renameDirectory } from './rename-directory.ts';
import type { SessionFiles } from './session-files.ts';

/** REMOVE, RENAME of a file, MKDIR and RMDIR: each written ahead, done, recorded (DESIGN P2.9). */

export async function removeFile(files: SessionFiles, path: VirtualPath): Promise<void> {
  const file = await existingFile(files, path);
  const name = files.nameOf(path);
  const { store, failpoints } = files.props.context;
  await change(files, {
    kind: 'remove',
    type: 'dev.skiff.file.removed',
    failpoint: 'remove.intent',
    path,
    name,
    priorEtag: file.etag,
    sizeBytes: file.sizeBytes,
    attempt: () => removeEffect({ store, name, replay: false, failpoints }),
  });
}

export interface RenameOptions {
  /** Whether what is at the new name may be replaced, as far as the request goes. */
  readonly replace: boolean;
  /** Why it may not, for a file that has come into being meanwhile as well. */
  readonly refuseReplacing: () => string | undefined;
}

export async function rename(files: SessionFiles, from: VirtualPath, to: VirtualPath, options: RenameOptions): Promise<void> {
  if (from === to) return;
  const [source, target] = await Promise.all([files.stat(from), files.stat(to)]);
  if (source === undefined) throw new SftpError(SftpStatus.noSuchFile, `${from}: no such file or directory`);
  const refusal = target === undefined ? undefined : options.refuseReplacing();
  if (refusal !== undefined) throw new SftpError(options.replace ? SftpStatus.permissionDenied : SftpStatus.failure, refusal);
  await (source.isDirectory ? renameDirectory(files, from, to, options) : renameFile(files, { path: from, file: source }, { path: to, file: target }, options));
}

async function renameFile(
  files: SessionFiles,
  { path: from, file: source }: { readonly path: VirtualPath; readonly file: StoredFile },
  { path: to, file: target }: { readonly path: VirtualPath; readonly file: StoredFile | undefined },
  options: RenameOptions,
): Promise<void> {
  if (target?.isDirectory === true) throw new SftpError(SftpStatus.failure, `${to}: a directory of this name exists`);
  const { store, failpoints } = files.props.context;
  const name = files.nameOf(from);
  const targetName = files.nameOf(to);
  await change(files, {
    kind: 'rename',
    type: 'dev.skiff.file.renamed',
    failpoint: 'rename.intent',
    path: to,
    sourcePath: from,
    name,
    target: targetName,
    priorEtag: target?.etag ?? null,
    sourceEtag: source.etag,
    sizeBytes: source.sizeBytes,
    metadata: source.metadata,
    refuseReplacing: options.refuseReplacing,
    attempt: ({ id, metadata }) => renameEffect({ store, id, source: name, sourceEtag: source.etag, target: targetName, metadata, failpoints }),
  });
  files.forget(from);
}

export async function makeDirectory(files: SessionFiles, path: VirtualPath): Promise<void> {
  if (path === ROOT_PATH || (await files.stat(path)) !== undefined) throw new SftpError(SftpStatus.failure, `${path}: exists already`);
  const { store } = files.props.context;
  const name = files.nameOf(path);
  await change(files, {
    kind: 'mkdir',
    type: 'dev.skiff.directory.created',
    failpoint: 'mkdir.intent',
    path,
    name,
    priorEtag: null,
    attempt: ({ id, metadata }) => makeDirectoryEffect({ store, id, name, metadata }),
  });
}

export async function removeDirectory(files: SessionFiles, path: VirtualPath): Promise<void> {
  if (path === ROOT_PATH) throw new SftpError(SftpStatus.permissionDenied, '/: the home directory cannot be removed');
  const directory = await files.stat(path);
  if (directory === undefined) throw new SftpError(SftpStatus.noSuchFile, `${path}: no such directory`);
  if (!directory.isDirectory) throw new SftpError(SftpStatus.failure, `${path}: not a directory`);
  const name = files.nameOf(path);
  await change(files, {
    kind: 'rmdir',
    type: 'dev.skiff.directory.removed',
    failpoint: 'rmdir.intent',
    path,
    name,
    priorEtag: directory.etag,
    attempt: () => removeDirectoryEffect({ store: files.props.context.store, name, replay: false }),
  });
}

async function existingFile(files: SessionFiles, path: VirtualPath): Promise<StoredFile> {
  const file = await files.stat(path);
  if (file === undefined) throw new SftpError(SftpStatus.noSuchFile, `${path}: no such file`);
  if (file.isDirectory) throw new SftpError(SftpStatus.failure, `${path}: is a directory; directories are removed by rmdir`);
  return file;
}

interface Change {
  readonly kind: OperationKind;
  readonly type: FileEventType;
  readonly failpoint: FailpointName;
  readonly path: VirtualPath;
  readonly sourcePath?: VirtualPath;
  readonly name: BlobName;
  readonly target?: BlobName;
  readonly priorEtag: string | null;
  readonly sourceEtag?: string;
  readonly sizeBytes?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly refuseReplacing?: () => string | undefined;
  readonly attempt: (operation: { readonly id: OperationId; readonly metadata: Readonly<Record<string, string>> }) => FinishProps['attempt'];
}

async function change(files: SessionFiles, props: Change): Promise<void> {
  const { context, user, clientAddress } = files.props;
  const id = context.newOperationId();
  const metadata = { ...props.metadata, [UPLOAD_METADATA_KEY]: id };
  const { type, path, priorEtag } = props;
  const subject = { id, type, username: user.username, clientAddress, path, name: props.target ?? props.name };
  const plan: CommitPlan = {
    blocks: [],
    sizeBytes: props.sizeBytes ?? 0,
    priorEtag,
    ...(props.sourceEtag === undefined ? {} : { sourceEtag: props.sourceEtag }),
    metadata,
    event: planEvent(context, {
      ...subject,
      ...(props.sourcePath === undefined ? {} : { sourcePath: props.sourcePath }),
      ...(props.sizeBytes === undefined ? {} : { sizeBytes: props.sizeBytes }),
    }),
  };
  try {
    const target = props.target === undefined ? {} : { target: props.target };
    const { ref } = await files.begin({ id, kind: props.kind, name: props.name, ...target, priorEtag, plan });
    await context.failpoints.hit(props.failpoint);
    const { refuseReplacing } = props;
    const outcome = await finish(context, ref, {
      live: true,
      mayLandLate: props.kind === 'rename' || props.kind === 'mkdir',
      priorEtag,
      eventType: type,
      ...(refuseReplacing === undefined ? {} : { refuseReplacing }),
      attempt: props.attempt({ id, metadata }),
    });
    throwUnlessCommitted(outcome);
  } catch (error) {
    throw toSftpError(error, path);
  } finally {
    files.forget(path);
  }
}
