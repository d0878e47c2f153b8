import type { Logger } from '@skiff/runtime/logger';

/** Ends with the first SIGTERM or SIGINT. A second one ends the process at once, for whoever cannot wait for the drain. */
export function untilSignalled(logger: Logger): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (asked) {
          logger.warn({ signal }, 'second signal, ending at once');
          process.exit(1);
        }
        asked = true;
        logger.info({ signal }, 'stopping');
        resolve(signal);
      });
    }
  });
}
