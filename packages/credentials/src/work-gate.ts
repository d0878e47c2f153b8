/** More is asked for than can be done soon. The caller refuses; nobody waits in a queue that only grows. */
export class WorkGateFullError extends Error {
  readonly code = 'PasswordQueueFull';
  constructor(queued: number) {
    super(`${queued} password checks are waiting already`);
    this.name = 'WorkGateFullError';
  }
}

/** Lets a number of jobs run at a time and a number wait, in order. */
export class WorkGate {
  readonly #concurrency: number;
  readonly #maxQueued: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(props: { readonly concurrency: number; readonly maxQueued: number }) {
    this.#concurrency = props.concurrency;
    this.#maxQueued = props.maxQueued;
  }

  /** @throws {WorkGateFullError} */
  async run<Result>(job: () => Promise<Result>): Promise<Result> {
    if (this.#running >= this.#concurrency) {
      if (this.#waiting.length >= this.#maxQueued) throw new WorkGateFullError(this.#waiting.length);
      // Whoever ends hands its place over, so that nobody who comes between takes it.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running++;
    }
    try {
      return await job();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
