import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 20;

/** Asks until there is an answer other than `false` and `undefined`, and gives it. @throws {Error} when there is none in time. */
export async function eventually<Answer>(
  what: string,
  ask: () => Answer | undefined | false | Promise<Answer | undefined | false>,
  withinMs = 15_000,
): Promise<Awaited<Answer>> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(POLL_MS);
  }
}
