/** What the router counts. No user, path or event id ever becomes a label. */
export interface RouterMetrics {
  /** A message was settled on the queue. */
  message(settlement: 'complete' | 'abandon' | 'deadLetter'): void;
  /** One attempt at one target ended. */
  attempt(outcome: 'delivered' | 'retry' | 'rejected', latencyMs: number): void;
  /** Deliveries were put aside for a later try. */
  parked(count: number): void;
  /** A delivery was given up. */
  dead(): void;
  /** Outcomes were not recorded; the deliveries themselves are not affected. */
  recordsDropped(count: number): void;
}

export const noRouterMetrics: RouterMetrics = {
  message() {},
  attempt() {},
  parked() {},
  dead() {},
  recordsDropped() {},
};
