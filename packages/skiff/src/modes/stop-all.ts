import type { Logger } from '@skiff/runtime/logger';

/** In order; what fails to stop is told and must not keep the rest from stopping. */
export async function stopAll(logger: Logger, stops: readonly (() => Promise<void>)[]): Promise<void> {
  for (const stop of stops) {
    try {
      await stop();
    } catch (error) {
      logger.error({ err: error }, 'a part did not stop cleanly');
    }
  }
}
