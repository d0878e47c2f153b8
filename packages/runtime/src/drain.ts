/** The process takes on nothing new. */
export class DrainingError extends Error {
  readonly code = 'Draining';
  constructor() {
    super('shutting down');
    this.name = 'DrainingError';
  }
}

/** Counts work under way, so that a stop can wait for it. */
export class Drain {
  #active = 0;
  #draining = false;
  readonly #waiting = new Set<() => void>();

  get active(): number {
    return this.#active;
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  /** @throws {DrainingError} once {@link begin} was called. */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#draining) throw new DrainingError();
    this.#active++;
    try {
      return await work();
    } finally {
      if (--this.#active === 0) for (const wake of this.#waiting) wake();
    }
  }

  /** Refuses new work from now on. */
  begin(): void {
    this.#draining = true;
  }

  /** Begins, and waits for what is under way. False: some of it is still not done after `timeoutMs`. */
  async finish(timeoutMs: number): Promise<boolean> {
    this.begin();
    if (this.#active === 0) return true;
    return await new Promise((resolve) => {
      const settle = (done: boolean): void => {
        clearTimeout(timer);
        this.#waiting.delete(onIdle);
        resolve(done);
      };
      const onIdle = (): void => settle(true);
      const timer = setTimeout(() => settle(false), timeoutMs);
      this.#waiting.add(onIdle);
    });
  }
}
