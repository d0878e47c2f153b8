/** Runs tasks, at most so many at a time, for one caller that starts them one after the other. Tasks must not reject. */
export class BoundedTasks {
  readonly #limit: number;
  #running = 0;
  #onEnd: (() => void) | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Starts the task as soon as there is room, and does not wait for its end. */
  async start(task: () => Promise<void>): Promise<void> {
    while (this.#running >= this.#limit) await this.#nextEnd();
    this.#running++;
    void task().finally(() => {
      this.#running--;
      this.#onEnd?.();
    });
  }

  /** Waits until all that were started have ended. */
  async idle(): Promise<void> {
    while (this.#running > 0) await this.#nextEnd();
  }

  #nextEnd(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEnd = resolve;
    });
  }
}
