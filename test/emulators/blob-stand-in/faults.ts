/** What the stand-in does wrong, on purpose and reproducibly. */
export interface Faults {
  /** Added to every answer; `latencyJitterMs` more at most, drawn evenly. Default 0. */
  readonly latencyMs?: number;
  readonly latencyJitterMs?: number;
  /** Share of the requests that fail, 0 to 1. Default 0. */
  readonly errorRate?: number;
  /** Drawn evenly. Default: all but `truncate`. */
  readonly kinds?: readonly FaultKind[];
  /** Only these operations fail, by the names of `stats.requests`; default all. */
  readonly operations?: readonly string[];
  /** `Retry-After` of 429 and 503, in seconds. Default none. */
  readonly retryAfterSeconds?: number;
  /** Seed of all draws. Default 1. */
  readonly seed?: number;
}

/**
 * `busy`: 503. `throttle`: 429. `error`: 500. `reset`: the connection ends before the request has had any effect. `lost`: the request takes
 * effect and the connection ends in place of its answer. `truncate`: half of a body, then the end of the connection.
 */
export type FaultKind = 'busy' | 'throttle' | 'error' | 'reset' | 'lost' | 'truncate';

const DEFAULT_KINDS: readonly FaultKind[] = ['busy', 'throttle', 'error', 'reset', 'lost'];

export interface FaultPlan {
  draw(operation: string): { readonly kind: FaultKind | undefined; readonly delayMs: number };
  readonly retryAfter: Readonly<Record<string, string>>;
}

export function createFaultPlan(faults: Faults): FaultPlan {
  const random = seededRandom(faults.seed ?? 1);
  const kinds = faults.kinds ?? DEFAULT_KINDS;
  return {
    retryAfter: faults.retryAfterSeconds === undefined ? {} : { 'retry-after': String(faults.retryAfterSeconds) },
    draw: (operation) => {
      const delayMs = (faults.latencyMs ?? 0) + random() * (faults.latencyJitterMs ?? 0);
      const concerned = faults.operations === undefined || faults.operations.includes(operation);
      const fails = concerned && random() < (faults.errorRate ?? 0);
      return { kind: fails ? kinds[Math.floor(random() * kinds.length)] : undefined, delayMs };
    },
  };
}

/** mulberry32 */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
