import type { OperationLog, OperationRef } from '@skiff/database/operation-log';
import type { OperationId } from '@skiff/model/upload-state';
import type { Logger } from '@skiff/runtime/logger';

/** Rows given up while the database was away. Above this many the lease's end gives them up all the same, only later. */
const MAX_REMEMBERED = 10_000;

/**
 * Gives rows up (DESIGN P2.5): at once where the database answers, otherwise from memory as soon as it does, so that nobody
 * has to wait for this process to die.
 */
export class ParkingLot {
  readonly #log: OperationLog;
  readonly #logger: Logger;
  readonly #waiting = new Map<OperationId, OperationRef>();

  constructor(log: OperationLog, logger: Logger) {
    this.#log = log;
    this.#logger = logger;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  async park(ref: OperationRef): Promise<void> {
    try {
      await this.#log.park(ref);
    } catch (error) {
      if (this.#waiting.size < MAX_REMEMBERED) this.#waiting.set(ref.id, ref);
      this.#logger.warn({ operation: ref.id, err: error }, 'could not park the operation yet');
    }
  }

  /** Parks what is remembered. Call it every second or so; rejects while the database is away. */
  async drain(): Promise<void> {
    for (const ref of this.#waiting.values()) {
      await this.#log.park(ref);
      this.#waiting.delete(ref.id);
    }
  }
}
