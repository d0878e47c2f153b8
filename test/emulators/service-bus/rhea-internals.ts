import rhea, { type Connection, type Delivery, type Receiver, type Sender } from 'rhea';
import type { AmqpFault } from './amqp-error.ts';

// rhea has no public way to do what a broker needs here. Everything private of it that the emulator touches is in this file;
// the emulator's tests are its contract test.

interface SenderInternals {
  readonly credit: number;
  readonly _draining: boolean;
  readonly state: { local_open: boolean; open_requests: number };
  readonly local: { readonly attach: { snd_settle_mode?: number; rcv_settle_mode?: number; max_message_size?: number; properties?: Record<string, unknown> } };
  readonly session: { readonly outgoing: { readonly next_pending_delivery: number; available(): number } };
}

function internals(link: Sender | Receiver): SenderInternals {
  return link as unknown as SenderInternals;
}

/** Messages that the link may still take: its credit less what is buffered, bounded by the session's room. */
export function roomOf(sender: Sender, buffered: number): number {
  const { credit, session } = internals(sender);
  return Math.min(credit - buffered, session.outgoing.available());
}

/** Of these deliveries, those that rhea has not put on the wire yet. */
export function notYetSent(sender: Sender, deliveries: readonly Delivery[]): Delivery[] {
  const next = internals(sender).session.outgoing.next_pending_delivery;
  return deliveries.filter(({ id }) => id >= next);
}

export function isDraining(sender: Sender): boolean {
  return internals(sender)._draining;
}

/** Answers the attach with the settle modes that the client asked for. */
export function echoSettleModes(sender: Sender): void {
  const { attach } = internals(sender).local;
  attach.snd_settle_mode = sender.snd_settle_mode;
  attach.rcv_settle_mode = sender.rcv_settle_mode;
}

export function announceMaxMessageSize(link: Sender | Receiver, bytes: number): void {
  internals(link).local.attach.max_message_size = bytes;
}

export function announceProperties(sender: Sender, properties: Record<string, unknown>): void {
  internals(sender).local.attach.properties = properties;
}

/** Leaves the attach unanswered until `sender.open()`: rhea opens its side before it tells us. */
export function holdAttach(sender: Sender): void {
  const { state } = internals(sender);
  state.local_open = false;
  state.open_requests = 0;
}

/** Settles an outgoing delivery as the client wished. */
export function accept(delivery: Delivery): void {
  settle(delivery, outcomes.accepted().described());
}

/** Settles an outgoing delivery, but tells the client that its wish failed. */
export function reject(delivery: Delivery, fault: AmqpFault): void {
  settle(delivery, outcomes.rejected({ error: fault.toWire() }).described());
}

interface OutcomeCodec {
  accepted(): { described(): unknown };
  rejected(fields: { readonly error: object }): { described(): unknown };
}
const outcomes = rhea.message as unknown as OutcomeCodec;

function settle(delivery: Delivery, outcome: unknown): void {
  delivery.update(true, outcome);
  // Nothing more comes from the client: so its slot (2,048 per session) becomes free.
  (delivery as { remote_settled: boolean }).remote_settled = true;
}

/** Name of the SASL PLAIN user, when the client came by that. */
export function plainUserOf(connection: Connection): string | undefined {
  const transport: unknown = connection.sasl_transport;
  const selected = read(transport, 'selected') ?? transport;
  const mechanism = read(selected, 'mechanism');
  const username = read(mechanism, 'username');
  return typeof read(mechanism, 'callback') === 'function' && read(mechanism, 'outcome') === true && typeof username === 'string' ? username : undefined;
}

const rawBytes = new WeakMap<object, Buffer>();

/** Makes rhea keep the bytes of each message it decodes, so that they can be forwarded untouched. Once per process. */
export function keepRawMessages(): void {
  const decode = rhea.message.decode;
  rhea.message.decode = (buffer) => {
    const message = decode(buffer);
    rawBytes.set(message, buffer);
    return message;
  };
}

export function rawMessage(message: object): Buffer | undefined {
  return rawBytes.get(message);
}

function read(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}
