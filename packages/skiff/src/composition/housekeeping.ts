import type { OperationLog } from '@skiff/database/operation-log';
import { type BackgroundTask, startBackgroundTask } from '@skiff/runtime/background-task';
import type { Logger } from '@skiff/runtime/logger';

const EVERY_MS = 60_000;
const BATCH = 1_000;
/** Finished operations are kept this long: to answer "what became of my file?", and for duplicates that come late. */
const OPERATION_RETENTION_MS = 7 * 86_400_000;

/** Takes old rows away in small batches; every process does, and they do not get in each other's way. */
export function startHousekeeping(log: OperationLog, logger: Logger): BackgroundTask {
  return startBackgroundTask({
    name: 'retention',
    intervalMs: EVERY_MS,
    logger,
    run: async (signal) => {
      for (let removed = BATCH; removed === BATCH && !signal.aborted; ) removed = await log.prune(OPERATION_RETENTION_MS, BATCH);
    },
  });
}
