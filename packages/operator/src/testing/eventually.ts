import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until `check` no longer throws; rethrows its last error after the limit. */
export async function eventually(check: () => void | Promise<void>, limitMs = 5000): Promise<void> {
  const endsAt = performance.now() + limitMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > endsAt) throw error;
      await sleep(20);
    }
  }
}
