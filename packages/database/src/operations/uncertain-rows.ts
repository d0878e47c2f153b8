import type { OperationId } from '@skiff/model/upload-state';
import type { Clock } from '@skiff/runtime/clock';
import type { OperationRef } from '../operation-log.ts';

export interface UncertainRow {
  readonly ref: OperationRef;
  /** The adoption that may have happened; `null`: the row may have been written at all. */
  readonly adoption: Buffer | null;
}

/** Longer than any caller goes on repeating a call, so that nobody is given up who is still at it. */
const SETTLE_AFTER_MS = 60_000;
/** Above this many the end of this process's lease frees the rows all the same. */
const MAX_REMEMBERED = 10_000;

/**
 * Rows that may belong to this instance without anybody in it knowing: the call that wrote them failed, but may have taken
 * effect. They are parked when it is certain that nobody repeats the call; the lease would protect them for ever otherwise.
 */
export class UncertainRows {
  readonly #clock: Clock;
  readonly #rows = new Map<OperationId, { readonly row: UncertainRow; readonly since: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(row: UncertainRow): void {
    if (this.#rows.size < MAX_REMEMBERED) this.#rows.set(row.ref.id, { row, since: this.#clock.monotonicMs() });
  }

  /** The outcome is known now. */
  delete(id: OperationId): void {
    this.#rows.delete(id);
  }

  /** Parks what has been uncertain for long. Rejects while the database is away; the next call goes on. */
  async settle(park: (row: UncertainRow) => Promise<unknown>): Promise<void> {
    const now = this.#clock.monotonicMs();
    for (const { row, since } of this.#rows.values()) {
      if (now - since < SETTLE_AFTER_MS) break;
      await park(row);
      this.#rows.delete(row.ref.id);
    }
  }
}
