import type { DeliveryInput, DeliveryOutcome, DeliveryTarget } from '@skiff/messaging/delivery-target';
import type { Logger } from '@skiff/runtime/logger';
import type { CircuitBreaker } from './circuit-breaker.ts';
import type { DeliveryPolicy } from './delivery-policy.ts';
import type { RouterMetrics } from './router-metrics.ts';
import type { Turns } from './turns.ts';

export interface TargetLaneProps {
  /** `namespace/name` of the route. */
  readonly route: string;
  readonly targetName: string;
  readonly target: DeliveryTarget;
  readonly policy: DeliveryPolicy;
  readonly circuit: CircuitBreaker;
  readonly turns: Turns;
  /** Attempts at a time, first ones and repeated ones together. */
  readonly concurrency: number;
  /** How long a fresh message may wait here for a place and an answer. */
  readonly fastLaneMs: number;
  readonly monotonicMs: () => number;
  readonly logger: Logger;
  readonly metrics: RouterMetrics;
  /** Hears of each attempt that failed. */
  readonly onFailure?: (reason: string) => void;
}

/** One attempt. `result` is set once `outcome` has resolved; it never rejects. */
export interface Attempt {
  readonly outcome: Promise<DeliveryOutcome>;
  readonly result: DeliveryOutcome | undefined;
}

/** What became of a fresh delivery within the fast lane's time. `begun` without a result: it is still running. */
export type Offer = { readonly kind: 'begun'; readonly attempt: Attempt } | { readonly kind: 'declined'; readonly reason: string; readonly dueInMs: number };

interface Waiter {
  readonly input: DeliveryInput;
  readonly resolve: (attempt: Attempt | undefined) => void;
  readonly timer: NodeJS.Timeout;
}

/** Messages that wait for a place at one target; above it they are declined at once. */
const MAX_WAITING = 1024;

/**
 * All that goes to one target: at most `concurrency` attempts at a time, and never one event twice at the same time. A fresh message
 * is held back here for a short time only; when the target was too slow the last time, not at all, so that messages for other
 * targets find the consumer free.
 */
export class TargetLane {
  readonly route: string;
  readonly targetName: string;
  readonly policy: DeliveryPolicy;
  readonly #props: TargetLaneProps;
  readonly #running = new Map<string, Attempt>();
  readonly #waiting = new Set<Waiter>();
  readonly #abort = new AbortController();
  readonly #retryPlaces: number;
  #runningRetries = 0;
  #usualLatencyMs = 0;
  #slow = false;

  constructor(props: TargetLaneProps) {
    this.route = props.route;
    this.targetName = props.targetName;
    this.policy = props.policy;
    this.#props = props;
    this.#retryPlaces = Math.max(1, Math.floor(props.concurrency / 2));
  }

  /** True after {@link abort}: results say nothing about the target any more. */
  get aborted(): boolean {
    return this.#abort.signal.aborted;
  }

  /** For fresh messages. Takes at most `fastLaneMs`. */
  async offer(input: DeliveryInput): Promise<Offer> {
    const holdMs = this.#slow ? 0 : this.#props.fastLaneMs;
    const deadline = this.#props.monotonicMs() + holdMs;
    const attempt = this.#running.get(input.eventId) ?? this.#begin(input) ?? (await this.#waitForPlace(input, holdMs));
    if (attempt === undefined) {
      return { kind: 'declined', reason: this.#props.circuit.open ? 'the target keeps failing' : 'the target is busy', dueInMs: this.standBackMs() };
    }
    if (attempt.result === undefined) await settledWithin(attempt.outcome, deadline - this.#props.monotonicMs());
    if (attempt.result === undefined) this.#slow = true;
    return { kind: 'begun', attempt };
  }

  /** For deliveries that are due again. Undefined when they must stand back; they never take more than half of the places. */
  retry(input: DeliveryInput): Attempt | undefined {
    if (this.#running.has(input.eventId) || this.#runningRetries >= this.#retryPlaces) return undefined;
    const attempt = this.#begin(input);
    if (attempt === undefined) return undefined;
    this.#runningRetries += 1;
    void attempt.outcome.then(() => {
      this.#runningRetries -= 1;
    });
    return attempt;
  }

  /** What {@link retry} could begin now. `trickle`: the target keeps failing, and gets one at a time. */
  retryRoom(): { readonly places: number; readonly trickle: boolean } {
    const { circuit, concurrency } = this.#props;
    const places = this.aborted ? 0 : Math.min(this.#retryPlaces - this.#runningRetries, circuit.room(this.#running.size, concurrency));
    return { places, trickle: circuit.open };
  }

  /** When a delivery that found no place should come again: at the pace at which places have been getting free. */
  standBackMs(): number {
    const { circuit, turns } = this.#props;
    return turns.next(circuit.open ? circuit.trickleSpacingMs : Math.max(1, this.#usualLatencyMs / this.#retryPlaces));
  }

  /** Ends all attempts. */
  abort(): void {
    this.#abort.abort();
    for (const waiter of this.#waiting) this.#dismiss(waiter, undefined);
  }

  /** Waits for running attempts. */
  async close(): Promise<void> {
    for (const waiter of this.#waiting) this.#dismiss(waiter, undefined);
    await Promise.all([...this.#running.values()].map(({ outcome }) => outcome));
    await this.#props.target.close();
  }

  #begin(input: DeliveryInput): Attempt | undefined {
    if (this.aborted || this.#running.size >= this.#props.concurrency || !this.#props.circuit.takeTurn(this.#running.size)) return undefined;
    const attempt: { outcome: Promise<DeliveryOutcome>; result: DeliveryOutcome | undefined } = { outcome: this.#run(input), result: undefined };
    attempt.outcome = attempt.outcome.then((result) => {
      attempt.result = result;
      return result;
    });
    this.#running.set(input.eventId, attempt);
    return attempt;
  }

  async #run(input: DeliveryInput): Promise<DeliveryOutcome> {
    const { monotonicMs, target, logger } = this.#props;
    const startedAt = monotonicMs();
    let outcome: DeliveryOutcome;
    try {
      outcome = await target.deliver(input, this.#abort.signal);
    } catch (error) {
      logger.error({ err: error, route: this.route, target: this.targetName }, 'delivery target threw');
      outcome = { kind: 'retry', reason: 'internal error' };
    }
    const latencyMs = monotonicMs() - startedAt;
    this.#running.delete(input.eventId);
    if (!this.aborted) this.#learn(outcome, latencyMs);
    if (!this.aborted && outcome.kind !== 'delivered') this.#props.onFailure?.(outcome.reason);
    const said = outcome.kind === 'delivered' ? outcome.detail : outcome.reason;
    logger.info(
      {
        eventId: input.eventId,
        route: this.route,
        target: this.targetName,
        attempt: input.attempt,
        outcome: outcome.kind,
        said,
        latencyMs: Math.round(latencyMs),
      },
      'delivery attempted',
    );
    this.#admit();
    return outcome;
  }

  #learn(outcome: DeliveryOutcome, latencyMs: number): void {
    const { circuit, turns, logger, metrics, fastLaneMs } = this.#props;
    const wasOpen = circuit.open;
    this.#usualLatencyMs += (latencyMs - this.#usualLatencyMs) / 8;
    metrics.attempt(outcome.kind, latencyMs);
    if (outcome.kind === 'retry') {
      circuit.failed(outcome.retryAfterMs);
      if (circuit.open && !wasOpen)
        logger.warn({ route: this.route, target: this.targetName, reason: outcome.reason }, 'target keeps failing; it gets a trickle');
      return;
    }
    circuit.succeeded();
    this.#slow = latencyMs > fastLaneMs;
    if (!wasOpen) return;
    turns.reset();
    logger.info({ route: this.route, target: this.targetName }, 'target is back');
  }

  #waitForPlace(input: DeliveryInput, holdMs: number): Promise<Attempt | undefined> {
    if (this.aborted || holdMs <= 0 || this.#props.circuit.open || this.#waiting.size >= MAX_WAITING) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#slow = true;
        this.#dismiss(waiter, undefined);
      }, holdMs);
      const waiter: Waiter = { input, resolve, timer };
      this.#waiting.add(waiter);
    });
  }

  #admit(): void {
    for (const waiter of this.#waiting) {
      const attempt = this.#running.get(waiter.input.eventId) ?? this.#begin(waiter.input);
      if (attempt !== undefined) this.#dismiss(waiter, attempt);
      else if (this.#props.circuit.open || this.aborted) this.#dismiss(waiter, undefined);
      else return;
    }
  }

  #dismiss(waiter: Waiter, attempt: Attempt | undefined): void {
    clearTimeout(waiter.timer);
    this.#waiting.delete(waiter);
    waiter.resolve(attempt);
  }
}

/** Resolves when the promise has, or after `ms`. */
function settledWithin(promise: Promise<unknown>, ms: number): Promise<void> {
  if (ms <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    void promise.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
