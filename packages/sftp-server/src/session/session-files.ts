import type { CommitPlan, OperationIntent } from '@skiff/database/operation-log';
import type { PermissionRule } from '@skiff/model/permission';
import { lockKeyOf, type OperationId, type OperationKind } from '@skiff/model/upload-state';
import { type BlobName, type Jail, PathError, parseVirtualPath, toBlobName, type VirtualPath } from '@skiff/model/virtual-path';
import type { Logger } from '@skiff/runtime/logger';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import type { StoredFile } from '@skiff/storage/file-store';
import type { ByteBudget } from '../byte-budget.ts';
import { type Begun, beginOperation } from '../operations/begin.ts';
import type { OperationContext } from '../operations/operation-context.ts';
import { toSftpError } from '../operations/outcome.ts';
import { finishOrphan } from '../recovery/finish-orphan.ts';

export interface SessionUser {
  readonly username: string;
  readonly jail: Jail;
  /** As they are now; they may change while the session lives. */
  readonly permissions: () => readonly PermissionRule[] | undefined;
}

export interface SessionFilesProps {
  readonly context: OperationContext;
  readonly budget: ByteBudget;
  readonly user: SessionUser;
  readonly clientAddress: string;
  readonly logger: Logger;
}

/** What a STAT has found may serve the OPEN that follows it. */
const STAT_MEMORY_MS = 1_000;
const STAT_MEMORY_ENTRIES = 64;
/** One call to the store on behalf of a waiting client. */
const STORE_TIMEOUT_MS = 30_000;

interface Remembered {
  readonly file: StoredFile | undefined;
  readonly at: number;
}

/** What all requests of one session share: its user's names in the store, and a short memory of what was seen there. */
export class SessionFiles {
  readonly props: SessionFilesProps;
  readonly #seen = new Map<VirtualPath, Remembered>();

  constructor(props: SessionFilesProps) {
    this.props = props;
  }

  /** The blob of a path. @throws {SftpError} when the store cannot hold the name. */
  nameOf(path: VirtualPath): BlobName {
    try {
      return toBlobName(this.props.user.jail, path);
    } catch (error) {
      if (error instanceof PathError) throw new SftpError(SftpStatus.failure, error.message, error);
      throw error;
    }
  }

  /** The path of a blob, as this user sees it; `undefined` for one outside the user's home. */
  pathOf(name: string): VirtualPath | undefined {
    const { jail } = this.props.user;
    if (jail !== '' && !name.startsWith(`${jail}/`)) return undefined;
    try {
      return parseVirtualPath(jail === '' ? name : name.slice(jail.length));
    } catch (error) {
      if (error instanceof PathError) return undefined;
      throw error;
    }
  }

  /** The file or directory of a path, as committed. The root always is. */
  async stat(path: VirtualPath): Promise<StoredFile | undefined> {
    try {
      const file = await this.props.context.store.stat(this.nameOf(path), this.timeout());
      this.#remember(path, file);
      return file;
    } catch (error) {
      throw toSftpError(error, path);
    }
  }

  /** As {@link stat}, or what was seen within the last second. */
  async recentStat(path: VirtualPath): Promise<StoredFile | undefined> {
    const known = this.#seen.get(path);
    if (known !== undefined && this.props.context.clock.monotonicMs() - known.at < STAT_MEMORY_MS) return known.file;
    return this.stat(path);
  }

  forget(path: VirtualPath): void {
    this.#seen.delete(path);
  }

  /** After a change of many names. */
  forgetAll(): void {
    this.#seen.clear();
  }

  #remember(path: VirtualPath, file: StoredFile | undefined): void {
    this.#seen.delete(path);
    if (this.#seen.size >= STAT_MEMORY_ENTRIES) {
      const [oldest] = this.#seen.keys();
      if (oldest !== undefined) this.#seen.delete(oldest);
    }
    this.#seen.set(path, { file, at: this.props.context.clock.monotonicMs() });
  }

  timeout(): AbortSignal {
    return AbortSignal.timeout(STORE_TIMEOUT_MS);
  }

  lockKey(name: BlobName): Buffer {
    return lockKeyOf(this.props.context.store.identity, name);
  }

  /** Writes the row of an operation of this session's user. */
  begin(subject: {
    readonly id: OperationId;
    readonly kind: OperationKind;
    readonly name: BlobName;
    readonly target?: BlobName;
    readonly priorEtag: string | null;
    readonly plan: CommitPlan | undefined;
    readonly exclusive?: boolean;
  }): Promise<Begun> {
    const { context, user } = this.props;
    const names = subject.target === undefined ? [subject.name] : [subject.name, subject.target];
    const intent: OperationIntent = {
      id: subject.id,
      kind: subject.kind,
      endpointId: context.endpoint.id,
      username: user.username,
      storage: context.store.identity,
      blobName: subject.name,
      ...(subject.target === undefined ? {} : { targetBlobName: subject.target }),
      lockKeys: names.map((name) => this.lockKey(name)),
      owner: context.lease.instance,
      priorEtag: subject.priorEtag,
      ...(subject.plan === undefined ? {} : { plan: subject.plan }),
    };
    return beginOperation(context, (row) => finishOrphan(context, row), intent, { exclusive: subject.exclusive === true });
  }
}
