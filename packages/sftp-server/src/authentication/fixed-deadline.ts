import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '@skiff/runtime/clock';

/**
 * Refused logins are answered this long after they came, whatever was wrong and however long it took to find out: nobody learns
 * from the clock which users exist (CVE-2018-15473, CVE-2016-6210). Longer than a password hash takes on a busy machine.
 */
const DENIAL_DEADLINE_MS = 300;

/** Waits until the next multiple of the deadline since `startedAt`, so that even an overlong check tells nothing. */
export async function waitForDeadline(clock: Clock, startedAt: number): Promise<void> {
  const elapsed = clock.monotonicMs() - startedAt;
  const due = Math.max(1, Math.ceil(elapsed / DENIAL_DEADLINE_MS)) * DENIAL_DEADLINE_MS;
  await sleep(due - elapsed);
}
