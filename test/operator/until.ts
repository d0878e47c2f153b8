import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 100;

/** Waits until `check` gives the value. Returns the time that it took, ms. @throws {Error} that names what was seen last. */
export async function until<Value>(what: string, expected: Value, check: () => Promise<Value>, timeoutMs = 30_000): Promise<number> {
  const began = performance.now();
  for (;;) {
    const seen = await check();
    if (seen === expected) return Math.round(performance.now() - began);
    if (performance.now() - began > timeoutMs) throw new Error(`${what}: not ${String(expected)} within ${timeoutMs} ms, but ${String(seen)}`);
    await sleep(POLL_MS);
  }
}
