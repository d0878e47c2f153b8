import type { DeliveryPlace } from '@skiff/database/delivery-log';
import type { DeliveryTarget } from '@skiff/messaging/delivery-target';
import { objectKey } from '@skiff/model/object-meta';
import type { RouteRow } from '@skiff/model/resource-rows';
import type { RoutedTarget } from '@skiff/model/route-secrets';
import type { Logger } from '@skiff/runtime/logger';
import { CircuitBreaker } from './circuit-breaker.ts';
import { deliveryPolicyOf } from './delivery-policy.ts';
import type { RouterMetrics } from './router-metrics.ts';
import { createUnusableTarget, type TargetFactory } from './target-factory.ts';
import { TargetLane } from './target-lane.ts';
import { Turns } from './turns.ts';

export interface TargetLanesProps {
  readonly targets: TargetFactory;
  readonly concurrency: number;
  readonly fastLaneMs: number;
  readonly monotonicMs: () => number;
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: RouterMetrics;
  /** Hears of each attempt that failed, and of each that could not be made. */
  readonly onFailure?: (route: string, target: string, reason: string) => void;
}

/** Names one target of one route, as `DeliveryLog.settled` does. */
export function placeOf(route: string, target: string): string {
  return `${route} ${target}`;
}

/** One lane per target of each route in force. A target that changes gets a new lane; the old one ends what it has begun. */
export class TargetLanes {
  readonly #props: TargetLanesProps;
  readonly #lanes = new Map<string, { readonly spec: string; readonly lane: TargetLane }>();
  readonly #leaving = new Map<TargetLane, Promise<void>>();

  constructor(props: TargetLanesProps) {
    this.#props = props;
  }

  /** Makes and closes lanes so that they are those of `routes`. */
  sync(routes: readonly RouteRow[]): void {
    const wanted = new Set<string>();
    for (const route of routes) {
      for (const target of route.targets) {
        const place = placeOf(objectKey(route), target.name);
        const spec = JSON.stringify(target);
        wanted.add(place);
        const present = this.#lanes.get(place);
        if (present?.spec === spec) continue;
        if (present !== undefined) this.#close(present.lane);
        this.#lanes.set(place, { spec, lane: this.#open(route, target) });
      }
    }
    for (const [place, { lane }] of this.#lanes) {
      if (wanted.has(place)) continue;
      this.#lanes.delete(place);
      this.#close(lane);
    }
  }

  get(route: string, target: string): TargetLane | undefined {
    return this.#lanes.get(placeOf(route, target))?.lane;
  }

  /**
   * Whose deliveries are worth claiming. Without this, the many due rows of a target that is down would be all that is ever claimed,
   * oldest first, and those of the others would starve.
   */
  retryRoom(): { readonly full: readonly DeliveryPlace[]; readonly trickling: readonly DeliveryPlace[] } {
    const full: DeliveryPlace[] = [];
    const trickling: DeliveryPlace[] = [];
    for (const { lane } of this.#lanes.values()) {
      const { places, trickle } = lane.retryRoom();
      const place = { route: lane.route, target: lane.targetName };
      if (trickle || places <= 0) full.push(place);
      if (trickle && places > 0) trickling.push(place);
    }
    return { full, trickling };
  }

  /** The longest that an attempt at any target may take. */
  maxTimeoutMs(): number {
    let longest = 0;
    for (const { lane } of this.#lanes.values()) longest = Math.max(longest, lane.policy.timeoutMs);
    return longest;
  }

  /** Ends all attempts at once. */
  abort(): void {
    for (const { lane } of this.#lanes.values()) lane.abort();
    for (const lane of this.#leaving.keys()) lane.abort();
  }

  /** Waits for what runs; {@link abort} makes it short. */
  async close(): Promise<void> {
    for (const { lane } of this.#lanes.values()) this.#close(lane);
    this.#lanes.clear();
    await Promise.all(this.#leaving.values());
  }

  #open(row: RouteRow, spec: RoutedTarget): TargetLane {
    const route = objectKey(row);
    const { concurrency, fastLaneMs, monotonicMs, random, logger, metrics, onFailure } = this.#props;
    return new TargetLane({
      route,
      targetName: spec.name,
      target: this.#makeTarget(row, spec),
      policy: deliveryPolicyOf(spec),
      circuit: new CircuitBreaker({ monotonicMs }),
      turns: new Turns(monotonicMs, random),
      concurrency,
      fastLaneMs,
      monotonicMs,
      logger,
      metrics,
      ...(onFailure === undefined ? {} : { onFailure: (reason) => onFailure(route, spec.name, reason) }),
    });
  }

  #makeTarget(row: RouteRow, spec: RoutedTarget): DeliveryTarget {
    try {
      return this.#props.targets(spec, row);
    } catch (error) {
      this.#props.logger.error({ err: error, route: objectKey(row), target: spec.name }, 'target cannot be used');
      return createUnusableTarget(error instanceof Error ? error.message : 'unknown error');
    }
  }

  #close(lane: TargetLane): void {
    const closing = lane
      .close()
      .catch((error: unknown) => this.#props.logger.warn({ err: error, route: lane.route, target: lane.targetName }, 'target did not close'))
      .finally(() => this.#leaving.delete(lane));
    this.#leaving.set(lane, closing);
  }
}
