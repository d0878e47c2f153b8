import { withDeadline } from '@skiff/runtime/abort';
import type { Secret } from '@skiff/runtime/secret';
import { parseBrokerUrl } from '../amqp/amqp-options.ts';
import type { DeliveryInput, DeliveryOutcome, DeliveryTarget } from '../delivery-target.ts';
import { attributesOf } from '../event-attributes.ts';
import { encodeTopicField, FieldTemplateError, parseFieldTemplate } from '../field-template.ts';
import { type AddressPolicy, AddressRefusedError } from '../http/address-guard.ts';
import type { TlsMaterial } from '../tls-material.ts';
import { MqttConnectionSlot } from './mqtt-connection.ts';

export interface MqttTargetOptions {
  /** `mqtts://host:8883` or `mqtt://host:1883`; the ports may be left out. */
  readonly url: string;
  /** May hold fields of the event. */
  readonly topic: string;
  readonly login?: { readonly username: string; readonly password: Secret<string> };
  readonly tls?: TlsMaterial;
  readonly addresses: AddressPolicy;
  /** One attempt, connecting included. */
  readonly timeoutMs: number;
}

/** The target cannot work as it is described. */
export class MqttTargetError extends Error {
  readonly code = 'InvalidTarget';
  constructor(message: string) {
    super(message);
    this.name = 'MqttTargetError';
  }
}

/** MQTT 5 §3.4.2.1: what another try would meet again. The others (quota, unspecified error) may pass. */
const FINAL_REASONS: ReadonlySet<number> = new Set([0x90, 0x95, 0x99]);
/** A topic is at most 65,535 bytes of UTF-8 (MQTT 5 §1.5.4). */
const MAX_TOPIC_BYTES = 65_535;

/**
 * Publishes each event to a topic by MQTT 5, QoS 1: CloudEvents MQTT binding 1.0.2, structured mode, with the attributes as user
 * properties as well. Acknowledged by the broker is success, whether or not anybody has subscribed.
 *
 * @throws {MqttTargetError | AmqpOptionsError} for a URL or topic that cannot be used.
 */
export function createMqttTarget(options: MqttTargetOptions): DeliveryTarget {
  const { timeoutMs } = options;
  if (/[+#\0]/.test(options.topic.replace(/\{\+[A-Za-z_.0-9]+\}/g, ''))) throw new MqttTargetError('the topic holds a wildcard');
  const topic = parseFieldTemplate(options.topic, encodeTopicField);
  const slot = new MqttConnectionSlot({ ...options, ...parseBrokerUrl(options.url, { plain: 'mqtt', tls: 'mqtts', ports: [1883, 8883] }) });
  return {
    async deliver(input, signal) {
      try {
        const name = topicFor(topic.render(input));
        await withDeadline({ timeoutMs, signal }, async (within) => {
          const client = await slot.acquire(within);
          await client.publishAsync(name, input.body, { qos: 1, properties: propertiesOf(input) });
        });
        return { kind: 'delivered', detail: 'acknowledged by the broker' };
      } catch (error) {
        return failureOf(error, signal);
      }
    },
    close: () => slot.close(),
  };
}

function topicFor(name: string): string {
  if (name === '' || Buffer.byteLength(name) > MAX_TOPIC_BYTES) throw new FieldTemplateError('the filled-in topic is empty or too long');
  if (name.startsWith('$')) throw new FieldTemplateError("the filled-in topic starts with $, which is the broker's own");
  return name;
}

function propertiesOf({ event, eventId, contentType }: DeliveryInput) {
  return { contentType, userProperties: event === undefined ? { id: eventId } : { ...attributesOf(event) } };
}

function failureOf(error: unknown, signal: AbortSignal): DeliveryOutcome {
  if (signal.aborted) return { kind: 'retry', reason: 'aborted' };
  if (error instanceof FieldTemplateError) return { kind: 'rejected', reason: error.message };
  if (error instanceof AddressRefusedError) return { kind: error.literal ? 'rejected' : 'retry', reason: error.message };
  if (!(error instanceof Error)) return { kind: 'retry', reason: 'unknown failure' };
  const code: unknown = 'code' in error ? error.code : undefined;
  const reason = (error.message.split('\n', 1)[0] ?? '').slice(0, 200);
  return { kind: typeof code === 'number' && FINAL_REASONS.has(code) ? 'rejected' : 'retry', reason };
}
