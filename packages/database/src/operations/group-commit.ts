import { isTransient, StoreError } from '@skiff/model/store-error';

export interface GroupCommitProps<Call, Result> {
  /** One transaction for all calls; results in their order. */
  readonly run: (calls: readonly Call[]) => Promise<readonly Result[]>;
  /** Calls with equal keys never share a transaction. Absent: any may. */
  readonly keyOf?: (call: Call) => string;
  /** Bytes that the call adds to the statements. */
  readonly sizeOf?: (call: Call) => number;
}

const MAX_BATCH = 256;
/** Hexadecimal doubles binary values; MariaDB takes packets of 16 MiB by default. */
const MAX_BATCH_BYTES = 4 << 20;
const MAX_QUEUED = 20_000;

interface Entry<Call, Result> {
  readonly call: Call;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Lets concurrent calls share a transaction: while one runs, the next batch gathers; no call waits for company. A call that the
 * database refuses for good fails alone: its batch is run again one by one.
 */
export class GroupCommit<Call, Result> {
  readonly #props: GroupCommitProps<Call, Result>;
  #queue: Entry<Call, Result>[] = [];
  #running = false;

  constructor(props: GroupCommitProps<Call, Result>) {
    this.#props = props;
  }

  /** @throws {StoreError} `throttled` when too many calls wait already; whatever the transaction fails with. */
  submit(call: Call): Promise<Result> {
    if (this.#queue.length >= MAX_QUEUED) {
      return Promise.reject(
        new StoreError({ code: 'throttled', vendorCode: 'QUEUE_FULL', message: `${MAX_QUEUED} calls wait for the database already: look at its load` }),
      );
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ call, resolve, reject });
      if (!this.#running) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#running = true;
    // Calls of the same turn of the event loop belong together.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#settle(this.#nextBatch());
    this.#running = false;
  }

  #nextBatch(): readonly Entry<Call, Result>[] {
    const { keyOf, sizeOf } = this.#props;
    const batch: Entry<Call, Result>[] = [];
    const later: Entry<Call, Result>[] = [];
    const keys = new Set<string>();
    let bytes = 0;
    for (const entry of this.#queue) {
      const key = keyOf?.(entry.call);
      const size = sizeOf?.(entry.call) ?? 0;
      const fits = batch.length === 0 || (batch.length < MAX_BATCH && bytes + size <= MAX_BATCH_BYTES);
      if (!fits || (key !== undefined && keys.has(key))) {
        later.push(entry);
        continue;
      }
      if (key !== undefined) keys.add(key);
      bytes += size;
      batch.push(entry);
    }
    this.#queue = later;
    return batch;
  }

  /** Never throws: each caller gets its own outcome. */
  async #settle(batch: readonly Entry<Call, Result>[]): Promise<void> {
    try {
      const results = await this.#props.run(batch.map((entry) => entry.call));
      batch.forEach((entry, index) => {
        const result = results[index];
        // `undefined` is a result like any other; a missing one is a fault of `run`.
        if (index < results.length) entry.resolve(result as Result);
        else entry.reject(new RangeError('the transaction returned too few results'));
      });
    } catch (error) {
      if (batch.length === 1 || isTransient(error)) {
        for (const entry of batch) entry.reject(error);
        return;
      }
      for (const entry of batch) await this.#settle([entry]);
    }
  }
}
