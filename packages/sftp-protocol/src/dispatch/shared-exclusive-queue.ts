type Task = { readonly exclusive: boolean; readonly start: () => void };

/**
 * Starts tasks in the order they come: shared ones overlap, an exclusive one waits for all before it and holds up all after
 * it. Bounded by its caller, which admits a bounded number of requests.
 */
export class SharedExclusiveQueue {
  #waiting: Task[] = [];
  #running = 0;
  #exclusiveRunning = false;

  /** Runs `task` at once when nothing stands in its way, so that the hot path has no extra turn of the event loop. */
  run<Result>(exclusive: boolean, task: () => Promise<Result>): Promise<Result> {
    if (this.#waiting.length === 0 && this.#mayStart(exclusive)) return this.#start(exclusive, task);
    return new Promise<Result>((resolve) => {
      this.#waiting.push({ exclusive, start: () => resolve(this.#start(exclusive, task)) });
    });
  }

  #mayStart(exclusive: boolean): boolean {
    return exclusive ? this.#running === 0 : !this.#exclusiveRunning;
  }

  #start<Result>(exclusive: boolean, task: () => Promise<Result>): Promise<Result> {
    this.#running++;
    this.#exclusiveRunning = exclusive;
    return task().finally(() => {
      this.#running--;
      if (exclusive) this.#exclusiveRunning = false;
      this.#startWaiting();
    });
  }

  #startWaiting(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#mayStart(next.exclusive); next = this.#waiting[0]) {
      this.#waiting.shift();
      next.start();
    }
  }
}
