import type { CommitPlan } from '@skiff/database/operation-log';
import { isPermitted } from '@skiff/model/permission';
import { isWithin, parseVirtualPath, ROOT_PATH, type VirtualPath } from '@skiff/model/virtual-path';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import { whyNotMoved } from '../operations/check-move.ts';
import { moveDirectory } from '../operations/move-directory.ts';
import { throwUnlessCommitted, toSftpError } from '../operations/outcome.ts';
import { planEvent } from './plan-event.ts';
import type { SessionFiles } from './session-files.ts';

/** RENAME of a directory with all that lies below it; one event for all of it. */
export async function renameDirectory(files: SessionFiles, from: VirtualPath, to: VirtualPath, options: { readonly replace: boolean }): Promise<void> {
  refuseImpossible(files, from, to);
  const { context, user, clientAddress } = files.props;
  const { store, failpoints } = context;
  const [source, target] = [files.nameOf(from), files.nameOf(to)];
  const id = context.newOperationId();
  const subject = { id, type: 'dev.skiff.directory.renamed', username: user.username, clientAddress, path: to, sourcePath: from, name: target } as const;
  const plan: CommitPlan = { blocks: [], sizeBytes: 0, priorEtag: null, metadata: {}, event: planEvent(context, subject) };
  try {
    const { ref } = await files.begin({ id, kind: 'renamedir', name: source, target, priorEtag: null, plan });
    await failpoints.hit('renamedir.intent');
    const check = (signal: AbortSignal) => whyNotMoved({ store, source, target, replace: options.replace }, signal);
    throwUnlessCommitted(await moveDirectory(context, ref, { id, source, target, check }));
  } catch (error) {
    throw toSftpError(error, from);
  } finally {
    files.forgetAll();
  }
}

function refuseImpossible(files: SessionFiles, from: VirtualPath, to: VirtualPath): void {
  if (from === ROOT_PATH || to === ROOT_PATH) throw new SftpError(SftpStatus.permissionDenied, '/: the home directory cannot be renamed');
  if (isWithin(to, from)) throw new SftpError(SftpStatus.failure, `${from}: cannot be moved into itself`);
  if (isWithin(from, to)) throw new SftpError(SftpStatus.failure, `${to}: exists already, and is not empty`);
  // The gate has asked for the two names; what lies below them may have rules of its own.
  for (const rule of files.props.user.permissions() ?? []) {
    const path = parseVirtualPath(rule.path);
    if ((isWithin(path, from) || isWithin(path, to)) && !isPermitted(files.props.user.permissions(), 'Rename', path)) {
      throw new SftpError(SftpStatus.permissionDenied, `${path}: renaming is not permitted there, and so not of a directory that it lies in`);
    }
  }
}
