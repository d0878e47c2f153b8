import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import type { AddressPolicy } from '../http/address-guard.ts';
import type { TlsMaterial } from '../tls-material.ts';

/** How to be let in by a broker, and to know it. */
export interface AmqpAccess {
  /** SASL PLAIN. Default: SASL ANONYMOUS. */
  readonly login?: { readonly username: string; readonly password: Secret<string> };
  /** For `amqps`. */
  readonly tls?: TlsMaterial;
}

/** How to reach one node (a queue or topic) of an AMQP 1.0 broker. */
export interface AmqpOptions extends AmqpAccess {
  /** `amqps://host:5671` or `amqp://host:5672`; the ports may be left out. */
  readonly url: string;
  /** In the broker's own words: `orders` (Artemis), `/queue/orders` (RabbitMQ). */
  readonly address: string;
  /** Asked before each connection, in place of the fixed `login` and `tls`: what lies in a Secret changes while the program runs. @throws {StoreError} */
  readonly access?: () => Promise<AmqpAccess>;
  /** Which addresses the broker may have. Default: any, for brokers that the platform has chosen. */
  readonly addresses?: AddressPolicy;
  /** Tries of one message within one call. Default: 3. */
  readonly maxAttempts?: number;
  /** Largest body in bytes. Default: 1 MiB. */
  readonly maxBodyBytes?: number;
  readonly logger: Logger;
}

export interface AmqpConsumerOptions extends AmqpOptions {
  /** Handlers at a time, 1 to 1,000. */
  readonly concurrency: number;
  /**
   * Where messages go that are set aside, with the reason as the properties `DeadLetterReason` and `DeadLetterErrorDescription`. Default:
   * they are rejected with the reason, and the broker's configuration decides; many drop them.
   */
  readonly deadLetterAddress?: string;
}

/** The broker's address cannot be used. */
class AmqpOptionsError extends Error {
  readonly code = 'InvalidTarget';
  constructor(message: string) {
    super(message);
    this.name = 'AmqpOptionsError';
  }
}

export const DEFAULT_MAX_BODY_BYTES = 1024 * 1024;

/** @throws {AmqpOptionsError} */
export function parseBrokerUrl(text: string, schemes: { readonly plain: string; readonly tls: string; readonly ports: readonly [number, number] }) {
  const url = URL.parse(text);
  const secure = url?.protocol === `${schemes.tls}:`;
  if (url === null || (!secure && url.protocol !== `${schemes.plain}:`) || url.hostname === '') {
    throw new AmqpOptionsError(`the URL is not ${schemes.plain}:// or ${schemes.tls}:// with a host`);
  }
  if (url.username !== '' || url.password !== '') throw new AmqpOptionsError('the URL holds credentials');
  return { host: url.hostname, port: url.port === '' ? schemes.ports[secure ? 1 : 0] : Number(url.port), secure };
}
