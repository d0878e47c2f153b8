import type { DeliveryOutcome } from '@skiff/messaging/delivery-target';
import type { RouteTarget } from '@skiff/model/event-route';

/** How hard to try at one target. */
export interface DeliveryPolicy {
  readonly timeoutMs: number;
  readonly maxAttempts: number;
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
}

/** What follows from one attempt. */
export type Decision =
  | { readonly state: 'succeeded'; readonly detail: string }
  | { readonly state: 'waiting'; readonly dueInMs: number; readonly reason: string; readonly untried?: boolean }
  | { readonly state: 'dead'; readonly reason: string };

/** Reasons are shown in lists and stored per delivery. */
const MAX_REASON_LENGTH = 250;

/** The target's `delivery` section with the defaults that its schema documents. */
export function deliveryPolicyOf(target: RouteTarget): DeliveryPolicy {
  const { timeoutSeconds = 30, maxAttempts = 10, minBackoffSeconds = 1, maxBackoffSeconds = 600 } = target.delivery ?? {};
  const minBackoffMs = minBackoffSeconds * 1000;
  return { timeoutMs: timeoutSeconds * 1000, maxAttempts, minBackoffMs, maxBackoffMs: Math.max(minBackoffMs, maxBackoffSeconds * 1000) };
}

/** Decides about attempt number `attempt` (from 1). `random` gives numbers in [0, 1). */
export function decide(outcome: DeliveryOutcome, attempt: number, policy: DeliveryPolicy, random: () => number): Decision {
  switch (outcome.kind) {
    case 'delivered':
      return { state: 'succeeded', detail: outcome.detail.slice(0, MAX_REASON_LENGTH) };
    case 'rejected':
      return { state: 'dead', reason: `rejected: ${outcome.reason}`.slice(0, MAX_REASON_LENGTH) };
    case 'retry':
      if (outcome.untried === true)
        return { state: 'waiting', dueInMs: untriedMs(outcome.retryAfterMs, policy, random), reason: outcome.reason, untried: true };
      if (attempt >= policy.maxAttempts) return { state: 'dead', reason: `${attempt} attempts failed: ${outcome.reason}`.slice(0, MAX_REASON_LENGTH) };
      return {
        state: 'waiting',
        dueInMs: backoffMs(attempt, policy, random, outcome.retryAfterMs),
        reason: outcome.reason.slice(0, MAX_REASON_LENGTH),
      };
  }
}

/** Nothing was tried, so nobody must be spared: it comes again soon, and always so. */
function untriedMs(retryAfterMs: number | undefined, policy: DeliveryPolicy, random: () => number): number {
  return Math.round(Math.max(retryAfterMs ?? 0, policy.minBackoffMs) * (1 + 0.3 * random()));
}

/**
 * Wait after failed attempt number `attempt`: doubles from `minBackoffMs`, spread by up to 30 % so that deliveries which failed
 * together do not come back together, within both bounds. What the target asked for by `Retry-After` is a lower bound, beyond
 * `maxBackoffMs` too: the adapter caps it.
 */
export function backoffMs(attempt: number, policy: DeliveryPolicy, random: () => number, retryAfterMs = 0): number {
  const doubled = policy.minBackoffMs * 2 ** Math.min(Math.max(attempt, 1) - 1, 30);
  const spread =
    doubled * 1.3 <= policy.maxBackoffMs
      ? doubled * (1 + 0.3 * random())
      : Math.max(Math.min(doubled, policy.maxBackoffMs) * (1 - 0.3 * random()), policy.minBackoffMs);
  return Math.round(Math.max(spread, retryAfterMs * (1 + 0.1 * random())));
}
