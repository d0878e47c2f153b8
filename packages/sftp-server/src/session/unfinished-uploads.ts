import type { OperationRow } from '@skiff/database/operation-log';
import { UPLOAD_METADATA_KEY } from '@skiff/model/upload-state';
import { baseName, parentPath, type VirtualPath } from '@skiff/model/virtual-path';
import type { FileAttributes } from '@skiff/sftp-protocol/backend';
import type { StoredFile } from '@skiff/storage/file-store';
import { contiguousPrefix } from '../upload/block-id.ts';
import { FILE_MODE } from './attributes.ts';
import type { SessionFiles } from './session-files.ts';

/** Rows read once serve the requests of this long. */
const ROWS_MEMORY_MS = 1_000;
/** A STAT must not hang because the database is away: without an answer in this time nothing is shown as unfinished. */
const LOOKUP_TIMEOUT_MS = 1_000;
/** Of one user. More are resumable all the same, but not shown. */
const MAX_ROWS = 1_000;

/**
 * What this user has uploaded without finishing, for STAT and listings (DESIGN P3): clients resume from the length they see
 * there. Shown to nobody else; other readers see committed versions only.
 */
export class UnfinishedUploads {
  readonly #files: SessionFiles;
  #rows: { readonly at: number; readonly byName: Promise<ReadonlyMap<string, OperationRow>> } | undefined;

  constructor(files: SessionFiles) {
    this.#files = files;
  }

  /** The next request reads the rows afresh. */
  forget(): void {
    this.#rows = undefined;
  }

  /** How an unfinished upload looks, if the path has one. `present`: the committed version. */
  async attributesOf(path: VirtualPath, present: StoredFile | undefined): Promise<FileAttributes | undefined> {
    const row = (await this.#byName()).get(this.#files.nameOf(path));
    if (row === undefined || isFinished(row, present)) return undefined;
    return this.#attributes(row);
  }

  /** The unfinished uploads right in a directory, by name. */
  async within(directory: VirtualPath): Promise<ReadonlyMap<string, () => Promise<FileAttributes | undefined>>> {
    const found = new Map<string, () => Promise<FileAttributes | undefined>>();
    for (const [name, row] of await this.#byName()) {
      const path = this.#files.pathOf(name);
      if (path === undefined || parentPath(path) !== directory) continue;
      found.set(baseName(path), async () => {
        const present = await this.#files.stat(path);
        return isFinished(row, present) ? undefined : this.#attributes(row);
      });
    }
    return found;
  }

  async #attributes(row: OperationRow): Promise<FileAttributes> {
    const staged = await this.#files.props.context.store.listStagedBlocks(row.blobName, this.#files.timeout());
    const modifiedAt = Math.floor(row.updatedAt.getTime() / 1000);
    return { sizeBytes: contiguousPrefix(staged, row.id).sizeBytes, mode: FILE_MODE, uid: 0, gid: 0, accessedAt: modifiedAt, modifiedAt };
  }

  #byName(): Promise<ReadonlyMap<string, OperationRow>> {
    const now = this.#files.props.context.clock.monotonicMs();
    if (this.#rows === undefined || now - this.#rows.at >= ROWS_MEMORY_MS) this.#rows = { at: now, byName: this.#read() };
    return this.#rows.byName;
  }

  async #read(): Promise<ReadonlyMap<string, OperationRow>> {
    const { context, user, logger } = this.#files.props;
    const timeout = Promise.withResolvers<'timeout'>();
    const timer = setTimeout(() => timeout.resolve('timeout'), LOOKUP_TIMEOUT_MS);
    try {
      const rows = await Promise.race([context.log.findOpenUploads(context.endpoint.id, user.username, MAX_ROWS), timeout.promise]);
      if (rows === 'timeout') return new Map();
      return new Map(rows.filter((row) => row.storage === context.store.identity).map((row) => [row.blobName, row]));
    } catch (error) {
      logger.debug({ err: error }, 'unfinished uploads are not shown');
      return new Map();
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The row says `open`, the file says otherwise: the database was restored to a time before the upload's end. */
export function isFinished(row: OperationRow, present: StoredFile | undefined): boolean {
  return present?.metadata[UPLOAD_METADATA_KEY] === row.id;
}
