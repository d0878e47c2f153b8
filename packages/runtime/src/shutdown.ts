import { DeadlineError, withDeadline } from './abort.ts';
import type { Logger } from './logger.ts';

export interface ShutdownProps {
  readonly logger: Logger;
  /** All steps together, in milliseconds: less than the pod's `terminationGracePeriodSeconds`. */
  readonly deadlineMs: number;
  /** Default: `process`. */
  readonly process?: ShutdownProcess;
}

/** The part of `process` that a shutdown has to do with. */
export interface ShutdownProcess {
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
  exit(code: number): void;
}

export interface Shutdown {
  /** Aborts when the shutdown begins; what only has to end at once listens to it. */
  readonly signal: AbortSignal;
  /** Adds a step. Steps run one after the other, the last one added first: what was started last leans on what was started before. */
  onStop(name: string, stop: (signal: AbortSignal) => Promise<void>): void;
  /** Begins the shutdown; further calls do nothing. `exitCode` 0: asked for. */
  request(reason: string, exitCode?: number): void;
  /** Resolves with the exit code when all steps are through or the deadline has passed. */
  readonly done: Promise<number>;
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
const FAILURES = ['uncaughtException', 'unhandledRejection'] as const;

/**
 * Ends the process in order on SIGTERM and SIGINT (a second one ends it at once) and after an uncaught exception: it is logged and
 * work under way is drained, but nothing goes on, since the state of the process is not known any more.
 */
export function installShutdown(props: ShutdownProps): Shutdown {
  return new OrderedShutdown(props);
}

class OrderedShutdown implements Shutdown {
  readonly done: Promise<number>;
  readonly #logger: Logger;
  readonly #deadlineMs: number;
  readonly #process: ShutdownProcess;
  readonly #controller = new AbortController();
  readonly #finished = Promise.withResolvers<number>();
  readonly #steps: { readonly name: string; readonly stop: (signal: AbortSignal) => Promise<void> }[] = [];
  #exitCode = 0;

  constructor({ logger, deadlineMs, process: target = process }: ShutdownProps) {
    this.#logger = logger;
    this.#deadlineMs = deadlineMs;
    this.#process = target;
    this.done = this.#finished.promise;
    for (const signal of SIGNALS) target.on(signal, () => this.#onSignal(signal));
    for (const failure of FAILURES) target.on(failure, (error) => this.#onFailure(failure, error));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  onStop(name: string, stop: (signal: AbortSignal) => Promise<void>): void {
    this.#steps.push({ name, stop });
  }

  request(reason: string, exitCode = 0): void {
    this.#exitCode = Math.max(this.#exitCode, exitCode);
    if (this.signal.aborted) return;
    this.#logger.info({ reason }, 'shutting down');
    this.#controller.abort(new Error(reason));
    this.#runSteps().then(
      () => this.#finished.resolve(this.#exitCode),
      (error: unknown) => this.#finished.reject(error),
    );
  }

  #onSignal(signal: string): void {
    if (this.signal.aborted) {
      this.#logger.warn({ reason: signal }, 'told a second time to end: ending at once');
      this.#process.exit(1);
    } else {
      this.request(signal);
    }
  }

  #onFailure(failure: string, error: unknown): void {
    this.#logger.error({ err: error, failure }, 'uncaught error, shutting down');
    this.request(failure, 1);
  }

  async #runSteps(): Promise<void> {
    const endsAt = performance.now() + this.#deadlineMs;
    for (const { name, stop } of this.#steps.toReversed()) {
      const timeoutMs = Math.max(endsAt - performance.now(), 1);
      try {
        await withDeadline({ timeoutMs }, stop);
      } catch (error) {
        this.#exitCode = 1;
        const message = error instanceof DeadlineError ? 'step of the shutdown took too long' : 'step of the shutdown failed';
        this.#logger.error({ err: error, step: name }, message);
      }
    }
    this.#logger.info({ exitCode: this.#exitCode }, 'shut down');
  }
}
