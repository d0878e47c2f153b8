import type { DeliveryKey } from '@skiff/database/delivery-log';
import type { DeliveryOutcome } from '@skiff/messaging/delivery-target';
import { decide } from './delivery-policy.ts';
import type { OutcomeRecorder } from './outcome-recorder.ts';
import type { RecentSuccesses } from './recent-successes.ts';
import type { TargetLane } from './target-lane.ts';
import { placeOf } from './target-lanes.ts';

export interface DeliveryLedgerProps {
  readonly endpointId: number;
  readonly recorder: OutcomeRecorder;
  readonly recent: RecentSuccesses;
  readonly random: () => number;
  /** Deliveries wait for those before them on the same path. */
  readonly inOrder: boolean;
}

/** Writes down what became of attempts. */
export class DeliveryLedger {
  readonly #props: DeliveryLedgerProps;

  constructor(props: DeliveryLedgerProps) {
    this.#props = props;
  }

  keyOf(eventId: string, lane: TargetLane): DeliveryKey {
    return { endpointId: this.#props.endpointId, eventId, route: lane.route, target: lane.targetName };
  }

  succeededHere(eventId: string, lane: TargetLane): boolean {
    return this.#props.recent.has(eventId, placeOf(lane.route, lane.targetName));
  }

  /** A success at the first attempt: no row waits for it. */
  succeededAtOnce(eventId: string, lane: TargetLane, detail: string): void {
    this.#props.recent.add(eventId, placeOf(lane.route, lane.targetName));
    this.#props.recorder.add({ ...this.keyOf(eventId, lane), state: 'succeeded', attempt: 1, detail }, true);
  }

  /** The end of attempt number `attempt` of a delivery that has its row. An attempt that was cut off by our own stop does not count. */
  ended(eventId: string, lane: TargetLane, attempt: number, outcome: DeliveryOutcome): void {
    const key = this.keyOf(eventId, lane);
    if (outcome.kind === 'delivered') this.#props.recent.add(eventId, placeOf(lane.route, lane.targetName));
    if (lane.aborted && outcome.kind === 'retry') {
      this.#props.recorder.add({ ...key, state: 'waiting', attempt: attempt - 1, dueInMs: 0, reason: 'the router stopped' });
      return;
    }
    const decision = decide(outcome, attempt, lane.policy, this.#props.random);
    if (decision.state === 'succeeded') this.#props.recorder.add({ ...key, attempt, ...decision, ordered: this.#props.inOrder });
    else if (decision.state === 'dead') this.#props.recorder.add({ ...key, attempt, ...decision });
    else this.standsBack(key, decision.untried === true ? attempt - 1 : attempt, decision.dueInMs, decision.reason);
  }

  /** The delivery comes again without having been tried. */
  standsBack(key: DeliveryKey, attempt: number, dueInMs: number, reason: string): void {
    const { endpointId, eventId, route, target } = key;
    this.#props.recorder.add({ endpointId, eventId, route, target, attempt, state: 'waiting', dueInMs, reason });
  }

  /** Until the database knows what was told here so far, unless it is away. */
  written(): Promise<void> {
    return this.#props.recorder.flush();
  }

  dead(key: DeliveryKey, attempt: number, reason: string): void {
    const { endpointId, eventId, route, target } = key;
    this.#props.recorder.add({ endpointId, eventId, route, target, attempt, state: 'dead', reason });
  }
}
