import { pause } from './abort.ts';
import type { Logger } from './logger.ts';

/** Longest pause after failures, unless the task says otherwise. */
const MAX_PAUSE_MS = 30_000;

export interface BackgroundTaskProps {
  readonly name: string;
  /** Pause after a round that succeeded, in milliseconds; ±10 % so that processes do not march in step. */
  readonly intervalMs: number;
  /** Longest pause after failures. Default 30,000 ms. */
  readonly maxPauseMs?: number;
  readonly logger: Logger;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

export interface BackgroundTask {
  /** Ends the pause or waits for the round under way, and runs no more. */
  stop(): Promise<void>;
}

/**
 * Runs something again and again until it is stopped. A failing round is logged once per change of state and repeated with a
 * growing pause; it never ends the task.
 */
export function startBackgroundTask(props: BackgroundTaskProps): BackgroundTask {
  const stop = new AbortController();
  const running = loop(props, stop.signal);
  return {
    async stop() {
      stop.abort();
      await running;
    },
  };
}

async function loop({ name, intervalMs, maxPauseMs = MAX_PAUSE_MS, logger, run }: BackgroundTaskProps, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    try {
      await run(signal);
      if (failures > 0) logger.info({ task: name, failures }, 'background task works again');
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      if (failures++ === 0) logger.warn({ task: name, err: error }, 'background task failed, trying again');
    }
    const pauseMs = Math.min(intervalMs * 2 ** Math.min(failures, 10), Math.max(maxPauseMs, intervalMs));
    await pause(pauseMs * (0.9 + Math.random() * 0.2), signal);
  }
}
