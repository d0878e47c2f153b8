import rhea, { type Connection, type Delivery, type Message, type Receiver, type Sender } from 'rhea';
import { AmqpFault, notFound, unauthorized } from './amqp-error.ts';
import { describeMessage, record } from './amqp-message.ts';
import { dataPayloads } from './amqp-sections.ts';
import { Claims, type TokenVerifier } from './claims.ts';
import { manage } from './management.ts';
import type { Namespace } from './namespace.ts';
import { type Outcome, ReceivingLink } from './receiving-link.ts';
import { announceMaxMessageSize, echoSettleModes, plainUserOf, rawMessage } from './rhea-internals.ts';
import { attachSession } from './session-attach.ts';
import type { SessionHolder } from './sessions.ts';

const { types } = rhea;
const CBS = '$cbs';
const MANAGEMENT = /\/\$management$/i;
/** Message format of a Service Bus batch. */
const BATCH_FORMAT = 0x80013700;

export interface ClientConnectionProps {
  readonly connection: Connection;
  readonly namespace: Namespace;
  readonly verifier: TokenVerifier;
  readonly maxMessageBytes: number;
}

export interface IncomingTransfer {
  readonly receiver: Receiver;
  readonly delivery: Delivery;
  /** rhea's message for format 0, raw bytes for other formats. */
  readonly message: Message | Buffer;
  readonly format: number | undefined;
}

/** One client: what it may do, its links, its requests. */
export class ClientConnection {
  readonly #props: ClientConnectionProps;
  readonly #claims = new Claims();
  readonly #links = new Map<Sender | Receiver, string>();
  readonly #receiving = new Map<Sender, ReceivingLink>();
  readonly #endings = new Map<Sender, () => void>();
  readonly #replies = new Map<string, Sender>();

  constructor(props: ClientConnectionProps) {
    this.#props = props;
    // SASL PLAIN with a key of the namespace, as generic AMQP clients do: every entity, for ever.
    if (plainUserOf(props.connection) !== undefined) this.#claims.grant('', Number.POSITIVE_INFINITY);
  }

  /** The client attaches a receiver. */
  attachReceiver(sender: Sender): void {
    const address = normalise(sender.source?.address);
    sender.set_source(sender.source ?? {});
    sender.set_target(sender.target ?? {});
    if (isRequestNode(address)) {
      this.#replies.set(sender.target?.address ?? sender.name, sender);
      return;
    }
    const queue = this.#props.namespace.queue(address);
    const refusal = queue === undefined ? notFound(address) : this.#refusal(address, 'Listen');
    if (queue === undefined || refusal !== undefined) {
      sender.close(refusal?.toWire());
      return;
    }
    this.#links.set(sender, address);
    echoSettleModes(sender);
    announceMaxMessageSize(sender, this.#props.maxMessageBytes);
    if (queue.settings.requiresSession) {
      const onAccepted = (holder: SessionHolder): void => {
        this.#receiving.set(sender, new ReceivingLink(sender, queue, holder));
      };
      this.#endings.set(sender, attachSession({ sender, queue, onAccepted }));
    } else this.#receiving.set(sender, new ReceivingLink(sender, queue));
  }

  /** The client attaches a sender. */
  attachSender(receiver: Receiver): void {
    const address = normalise(receiver.target?.address);
    receiver.set_target(receiver.target ?? {});
    receiver.set_source(receiver.source ?? {});
    announceMaxMessageSize(receiver, this.#props.maxMessageBytes);
    if (address.toLowerCase() === CBS) return;
    const entity = address.replace(MANAGEMENT, '');
    const refusal = this.#props.namespace.has(entity) ? this.#refusal(address, 'Send') : notFound(entity);
    if (refusal === undefined) this.#links.set(receiver, address);
    else receiver.close(refusal.toWire());
  }

  /** New credit, or a wish to drain. */
  credit(sender: Sender): void {
    const link = this.#receiving.get(sender);
    if (link === undefined) sender.set_drained(true);
    else link.deliver(Number.POSITIVE_INFINITY);
  }

  settle(sender: Sender, delivery: Delivery, outcome: Outcome): void {
    this.#receiving.get(sender)?.settle(delivery, outcome);
  }

  closeLink(link: Sender | Receiver): void {
    this.#links.delete(link);
    if (!isSender(link)) return;
    this.#endings.get(link)?.();
    this.#endings.delete(link);
    this.#receiving.get(link)?.close();
    this.#receiving.delete(link);
    for (const [address, sender] of this.#replies) if (sender === link) this.#replies.delete(address);
  }

  close(): void {
    for (const link of [...this.#links.keys(), ...this.#replies.values()]) this.closeLink(link);
  }

  /** Ends the links whose token has run out, as Service Bus does. */
  expireLinks(): void {
    for (const [link, address] of this.#links) {
      if (!this.#claims.allows(address)) this.#end(link, unauthorized(`ExpiredToken: The token is expired. Resource: '${address}'.`));
    }
  }

  /** Ends all links for no reason of the client's, as Service Bus does when it moves an entity. */
  detachLinks(): void {
    for (const link of this.#links.keys()) this.#end(link, new AmqpFault('amqp:link:detach-forced', 'The link was force detached by the broker.'));
  }

  async receive(transfer: IncomingTransfer): Promise<void> {
    const address = normalise(transfer.receiver.target?.address);
    if (isRequestNode(address)) await this.#answer(address, transfer);
    else await this.#enqueue(address, transfer);
  }

  #end(link: Sender | Receiver, fault: AmqpFault): void {
    this.closeLink(link);
    link.close(fault.toWire());
  }

  #refusal(address: string, claim: string): AmqpFault | undefined {
    if (this.#claims.allows(address)) return undefined;
    return unauthorized(`Unauthorized access. '${claim}' claim(s) are required to perform this operation. Resource: '${address}'.`);
  }

  async #enqueue(address: string, { delivery, message, format }: IncomingTransfer): Promise<void> {
    const { namespace, maxMessageBytes } = this.#props;
    try {
      const raw = Buffer.isBuffer(message) ? message : rawMessage(message);
      if (raw === undefined) throw new AmqpFault('amqp:internal-error', 'the message has no bytes');
      if (raw.length > maxMessageBytes) throw new AmqpFault('amqp:link:message-size-exceeded', `The message exceeds the limit of ${maxMessageBytes} bytes.`);
      if (format === BATCH_FORMAT) await Promise.all(dataPayloads(raw).map((payload) => namespace.send(address, payload)));
      else if (Buffer.isBuffer(message)) throw new AmqpFault('amqp:not-implemented', `message format ${format}`);
      else await namespace.send(address, raw, describeMessage(message));
      delivery.accept();
    } catch (error) {
      delivery.reject(toFault(error).toWire());
    }
  }

  async #answer(address: string, { delivery, message }: IncomingTransfer): Promise<void> {
    delivery.accept();
    if (Buffer.isBuffer(message)) return;
    const request = describeMessage(message);
    const reply = request.replyTo === undefined ? undefined : this.#replies.get(request.replyTo);
    const answer = address.toLowerCase() === CBS ? await this.#putToken(request) : await this.#manage(address, request);
    if (reply?.is_open()) reply.send({ ...answer, correlation_id: message.message_id ?? '' });
  }

  async #putToken({
    applicationProperties: properties,
    body,
  }: ReturnType<typeof describeMessage>): Promise<{ body: undefined; application_properties: Record<string, unknown> }> {
    const respond = (status: number, description: string) => ({
      body: undefined,
      application_properties: { 'status-code': types.wrap_int(status), 'status-description': description },
    });
    try {
      await this.#props.verifier.putToken(this.#claims, String(properties.type), String(properties.name), String(body));
      return respond(202, 'Accepted');
    } catch (error) {
      return respond(401, toFault(error).message);
    }
  }

  async #manage(
    address: string,
    { applicationProperties: properties, body }: ReturnType<typeof describeMessage>,
  ): Promise<{ body: Readonly<Record<string, unknown>>; application_properties: Record<string, unknown> }> {
    try {
      const entity = address.replace(MANAGEMENT, '');
      const response = await manage({ namespace: this.#props.namespace, address: entity, operation: String(properties.operation), body: record(body) });
      return { body: response.body ?? {}, application_properties: { statusCode: types.wrap_int(response.status), statusDescription: '' } };
    } catch (error) {
      const fault = toFault(error);
      const properties = { statusCode: types.wrap_int(statusOf(fault)), statusDescription: fault.message, errorCondition: types.wrap_symbol(fault.condition) };
      return { body: {}, application_properties: properties };
    }
  }
}

function isSender(link: Sender | Receiver): link is Sender {
  return link.is_sender();
}

function toFault(error: unknown): AmqpFault {
  return error instanceof AmqpFault ? error : new AmqpFault('amqp:internal-error', error instanceof Error ? error.message : String(error));
}

function statusOf({ condition }: AmqpFault): number {
  if (condition.endsWith('lock-lost')) return 410;
  if (condition.endsWith('not-found')) return 404;
  if (condition.endsWith('server-busy')) return 503;
  return condition === 'amqp:not-implemented' ? 501 : 400;
}

function isRequestNode(address: string): boolean {
  return address.toLowerCase() === CBS || MANAGEMENT.test(address);
}

function normalise(address: string | undefined): string {
  return (address ?? '').replace(/^amqps?:\/\/[^/]+\//, '').replace(/^\//, '');
}
