import type { Condition } from '@skiff/model/condition';
import type { Logger } from '@skiff/runtime/logger';
import { writeFileAtomically } from '../durable-file.ts';
import { sameConditions } from '../merge-conditions.ts';
import { type ReportedProblem, type ReportedStatus, readStatusFile, type StatusReport, statusFilePath } from './status-file.ts';

/** What is kept of a status. */
export type StoredStatus = Omit<ReportedStatus, 'ref'>;

/** The status of every object of a folder: in memory, in the log when it changes, and in `status.json` shortly after. */
export interface StatusStore {
  get(ref: string): StoredStatus | undefined;
  /** Details that are not given stay. */
  set(ref: string, conditions: readonly Condition[], details?: Omit<StoredStatus, 'conditions'>): void;
  setProblems(problems: readonly ReportedProblem[]): void;
  /** Forgets objects that are gone. */
  prune(present: (ref: string) => boolean): void;
  report(): StatusReport;
  /** Writes what is outstanding and stops writing. */
  close(): Promise<void>;
}

export interface StatusStoreOptions {
  readonly stateDirectory: string;
  readonly logger: Logger;
  readonly now: () => Date;
}

/** 4,000 users become ready within seconds; the file is then written a few times, not 4,000 times. */
const WRITE_INTERVAL_MS = 500;
const WRITE_TIMEOUT_MS = 10_000;

/** A status file that cannot be read is replaced: status is made anew from the objects. */
export async function openStatusStore(options: StatusStoreOptions): Promise<StatusStore> {
  const { stateDirectory, logger, now } = options;
  const statuses = new Map<string, StoredStatus>();
  let problems: readonly ReportedProblem[] = [];
  try {
    const report = await readStatusFile(stateDirectory, AbortSignal.timeout(WRITE_TIMEOUT_MS));
    for (const { ref, ...status } of report?.resources ?? []) statuses.set(ref, status);
  } catch (err) {
    logger.warn({ err }, 'status file cannot be read and will be replaced');
  }

  let dirty = false;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  const report = (): StatusReport => ({
    writtenAt: now().toISOString(),
    resources: [...statuses].sort(([left], [right]) => (left < right ? -1 : 1)).map(([ref, status]) => ({ ref, ...status })),
    problems,
  });
  const write = async (): Promise<void> => {
    if (!dirty) return;
    dirty = false;
    try {
      const text = `${JSON.stringify(report(), undefined, 1)}\n`;
      await writeFileAtomically(statusFilePath(stateDirectory), text, { mode: 0o644, signal: AbortSignal.timeout(WRITE_TIMEOUT_MS) });
    } catch (err) {
      dirty = true;
      logger.error({ err }, 'status file cannot be written');
    }
  };
  const schedule = (): void => {
    dirty = true;
    timer ??= setTimeout(() => {
      writing = write().finally(() => {
        timer = undefined;
        if (dirty) schedule();
      });
    }, WRITE_INTERVAL_MS).unref();
  };

  return {
    get: (ref) => statuses.get(ref),
    set(ref, conditions, details = {}) {
      const previous = statuses.get(ref);
      const next: StoredStatus = { ...previous, ...details, conditions };
      const { deliveries, hostKeys } = next;
      if (previous !== undefined && sameConditions(previous.conditions, conditions) && previous.deliveries === deliveries && previous.hostKeys === hostKeys)
        return;
      statuses.set(ref, next);
      for (const condition of conditions) logTransition(logger, ref, condition, previous?.conditions);
      schedule();
    },
    setProblems(next) {
      problems = next;
      schedule();
    },
    prune(present) {
      for (const ref of statuses.keys()) {
        if (present(ref)) continue;
        statuses.delete(ref);
        schedule();
      }
    },
    report,
    async close() {
      clearTimeout(timer);
      await writing;
      clearTimeout(timer);
      await write();
    },
  };
}

/** Reasons that somebody asked for: worth a line, not a warning. */
const INTENDED: ReadonlySet<string> = new Set(['Suspended', 'Expired', 'Pending']);

function logTransition(logger: Logger, ref: string, condition: Condition, previous: readonly Condition[] | undefined): void {
  const before = previous?.find((candidate) => candidate.type === condition.type);
  if (before?.status === condition.status && before.reason === condition.reason && before.message === condition.message) return;
  const { type, status, reason, message } = condition;
  const fields = { ref, condition: type, status, reason, message };
  // The first True of an object is how things should be; with thousands of users it would bury the rest.
  if (before === undefined && status === 'True') logger.debug(fields, 'condition changed');
  else if (status === 'True' || INTENDED.has(reason)) logger.info(fields, 'condition changed');
  else logger.warn(fields, 'condition changed');
}
