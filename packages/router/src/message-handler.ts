import { createHash } from 'node:crypto';
import type { DeliveryLog, DeliveryOrder, PendingDelivery } from '@skiff/database/delivery-log';
import type { IncomingMessage, MessageHandler, Settlement } from '@skiff/messaging/event-bus';
import { pause } from '@skiff/runtime/abort';
import type { Failpoints } from '@skiff/runtime/failpoint';
import type { Logger } from '@skiff/runtime/logger';
import type { DeliveryLedger } from './delivery-ledger.ts';
import { decide } from './delivery-policy.ts';
import { parseMessage, type RoutableMessage } from './message-parser.ts';
import type { RouterMetrics } from './router-metrics.ts';
import type { Offer, TargetLane } from './target-lane.ts';
import { placeOf } from './target-lanes.ts';

export interface MessageHandlerProps {
  readonly endpointId: number;
  /** The lanes that the message must go to, by the routes in force. */
  readonly lanesFor: (message: RoutableMessage) => readonly TargetLane[];
  readonly deliveries: Pick<DeliveryLog, 'park' | 'settled' | 'heldBack'>;
  readonly ledger: DeliveryLedger;
  readonly failpoints: Failpoints;
  readonly random: () => number;
  readonly monotonicMs: () => number;
  readonly logger: Logger;
  readonly metrics: RouterMetrics;
  /** How long a message is held while its failed deliveries cannot be put aside. Then it goes back to the queue. */
  readonly parkPatienceMs: number;
  /** Tells about work that goes on after the message is settled. */
  readonly onBackground: (work: Promise<void>) => void;
}

interface Placed {
  readonly lane: TargetLane;
  readonly offer: Offer;
}
/** A delivery that needs a row, and how far it was when the row was written. */
interface Parked extends Placed {
  readonly row: PendingDelivery;
  readonly progress: 'untried' | 'running' | 'failed' | 'dead';
}

/** A running attempt's row falls due when nobody can be at it any more, so that it is tried again only if this process died. */
const RUNNING_SLACK_MS = 5000;
const DEAD_SLACK_MS = 60_000;
const BACK_OFF_MS = 500;
/** How long until it is looked whether the delivery before has ended. */
const HELD_BACK_MS = 1000;
/**
 * How long a message is held whose turn is not known, since the database is away: below the 10 minutes for which consumers renew their
 * lock on it. Each return to the queue counts as a delivery, and after ten of these a queue sets the message aside.
 */
const TURN_PATIENCE_MS = 8 * 60_000;
const HELD_BACK: Offer = { kind: 'declined', dueInMs: HELD_BACK_MS, reason: 'an earlier event of this path waits' };
const NOWHERE: ReadonlySet<string> = new Set();
const COMPLETE: Settlement = { kind: 'complete' };
const ABANDON: Settlement = { kind: 'abandon' };

/** Delivers one message to all its targets; what does not succeed at once is put aside, and the message is completed. */
export function createMessageHandler(props: MessageHandlerProps): MessageHandler {
  const handle = async (message: IncomingMessage, signal: AbortSignal): Promise<Settlement> => {
    const parsed = parseMessage(message);
    if (parsed.kind === 'notAnEvent') return { kind: 'deadLetter', reason: 'NotAnEvent', description: parsed.description };
    const lanes = await withoutSettled(props, parsed, message.deliveryCount, props.lanesFor(parsed));
    if (lanes.length === 0) return COMPLETE;
    const { eventId, event, body, contentType } = parsed;
    const input = { eventId, event, body, contentType, attempt: 1 };
    const order = orderOf(message);
    const held = order === undefined ? NOWHERE : await heldBack(props, order, signal);
    const offerTo = async (lane: TargetLane): Promise<Placed> => ({
      lane,
      offer: held.has(placeOf(lane.route, lane.targetName)) ? HELD_BACK : await lane.offer(input),
    });
    const placed = await Promise.all(lanes.map(offerTo));
    await props.failpoints.hit('router.delivered');
    return settle(props, { ...parsed, order }, placed, signal);
  };
  return async (message, signal) => {
    let settlement: Settlement;
    try {
      settlement = await handle(message, signal);
    } catch (error) {
      props.logger.error({ err: error, messageId: message.messageId }, 'message could not be handled');
      await backOff(props, signal);
      settlement = ABANDON;
    }
    if (settlement.kind === 'deadLetter') props.logger.warn({ messageId: message.messageId, reason: settlement.reason }, 'message set aside');
    props.metrics.message(settlement.kind);
    return settlement;
  };
}

type OrderedMessage = RoutableMessage & { readonly order: DeliveryOrder | undefined };

function orderOf({ order }: IncomingMessage): DeliveryOrder | undefined {
  if (order === undefined) return undefined;
  return { key: createHash('sha256').update(order.sessionId).digest(), sequence: order.sequence };
}

/** A message that comes again must not reach targets that have it, or whose delivery waits in a row of its own. */
async function withoutSettled(props: MessageHandlerProps, message: RoutableMessage, deliveryCount: number, lanes: readonly TargetLane[]) {
  if (deliveryCount <= 1 || lanes.length === 0) return lanes;
  let settled: ReadonlySet<string> = new Set();
  try {
    settled = await props.deliveries.settled(props.endpointId, message.eventId);
  } catch (error) {
    props.logger.warn({ err: error, eventId: message.eventId }, 'earlier outcomes cannot be read; targets may get the event again');
  }
  return lanes.filter((lane) => !settled.has(placeOf(lane.route, lane.targetName)) && !props.ledger.succeededHere(message.eventId, lane));
}

/** Where the message has to wait for its turn. What is not known is not delivered. */
async function heldBack(props: MessageHandlerProps, order: DeliveryOrder, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const giveUpAt = props.monotonicMs() + TURN_PATIENCE_MS;
  for (;;) {
    try {
      return await props.deliveries.heldBack(props.endpointId, order);
    } catch (error) {
      if (signal.aborted || props.monotonicMs() >= giveUpAt) throw error;
      await backOff(props, signal);
    }
  }
}

async function settle(props: MessageHandlerProps, message: OrderedMessage, placed: readonly Placed[], signal: AbortSignal): Promise<Settlement> {
  const giveUpAt = props.monotonicMs() + props.parkPatienceMs;
  let open = placed;
  for (let failures = 0; ; failures++) {
    open = open.filter((one) => !noteSuccess(props, message.eventId, one));
    if (open.length === 0) return COMPLETE;
    if (signal.aborted || open.some(({ lane }) => lane.aborted)) break;
    if (await park(props, message, open, failures === 0)) {
      await props.failpoints.hit('router.parked');
      return COMPLETE;
    }
    // Even without patience: a message that goes back at once comes back at once.
    await backOff(props, signal);
    if (props.monotonicMs() >= giveUpAt) break;
  }
  // An attempt that is still under way may succeed yet, and the next round must know.
  for (const one of open) {
    if (one.offer.kind === 'begun') props.onBackground(one.offer.attempt.outcome.then(() => void noteSuccess(props, message.eventId, one)));
  }
  return ABANDON;
}

function noteSuccess(props: MessageHandlerProps, eventId: string, { lane, offer }: Placed): boolean {
  if (offer.kind !== 'begun' || offer.attempt.result?.kind !== 'delivered') return false;
  props.ledger.succeededAtOnce(eventId, lane, offer.attempt.result.detail);
  return true;
}

/** Writes the rows of all unfinished deliveries in one transaction. False when the database did not take them. */
async function park(props: MessageHandlerProps, message: OrderedMessage, open: readonly Placed[], firstTry: boolean): Promise<boolean> {
  const parked = open.map((one) => toParked(props, message, one));
  try {
    await props.deliveries.park(parked.map(({ row }) => row));
  } catch (error) {
    if (firstTry) props.logger.warn({ err: error, eventId: message.eventId }, 'failed deliveries cannot be put aside');
    return false;
  }
  props.metrics.parked(parked.length);
  for (const one of parked) followUp(props, message.eventId, one);
  return true;
}

function toParked(props: MessageHandlerProps, message: OrderedMessage, { lane, offer }: Placed): Parked {
  const { order } = message;
  const base = {
    ...props.ledger.keyOf(message.eventId, lane),
    body: message.body,
    contentType: message.contentType,
    ...(order === undefined ? {} : { order }),
  };
  if (offer.kind === 'declined') {
    return { lane, offer, progress: 'untried', row: { ...base, attempt: 0, dueInMs: offer.dueInMs, reason: offer.reason } };
  }
  const { result } = offer.attempt;
  if (result === undefined) {
    return { lane, offer, progress: 'running', row: { ...base, attempt: 1, dueInMs: lane.policy.timeoutMs + RUNNING_SLACK_MS, reason: 'the target is slow' } };
  }
  const decision = decide(result, 1, lane.policy, props.random);
  if (decision.state === 'waiting') {
    return {
      lane,
      offer,
      progress: 'failed',
      row: { ...base, attempt: decision.untried === true ? 0 : 1, dueInMs: decision.dueInMs, reason: decision.reason },
    };
  }
  // The row carries the body, for a replay; that it is dead follows in the next batch of outcomes.
  return { lane, offer, progress: 'dead', row: { ...base, attempt: 1, dueInMs: DEAD_SLACK_MS, reason: decision.state === 'dead' ? decision.reason : '' } };
}

/** What is still to be written about a delivery once its row is there. */
function followUp(props: MessageHandlerProps, eventId: string, { lane, offer, progress }: Parked): void {
  if (offer.kind !== 'begun') return;
  if (progress !== 'running' && progress !== 'dead') return;
  props.onBackground(offer.attempt.outcome.then((outcome) => props.ledger.ended(eventId, lane, 1, outcome)));
}

function backOff(props: MessageHandlerProps, signal: AbortSignal): Promise<void> {
  return pause(BACK_OFF_MS * (0.5 + props.random()), signal);
}
