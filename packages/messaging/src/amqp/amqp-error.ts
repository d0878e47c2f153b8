import { StoreError, type StoreErrorCode } from '@skiff/model/store-error';

/** Conditions of AMQP 1.0 (OASIS, part 2 §2.8.15–2.8.17) that say more than "not now". */
const CODES: Readonly<Record<string, StoreErrorCode>> = {
  'amqp:unauthorized-access': 'denied',
  'amqp:not-allowed': 'denied',
  'amqp:not-found': 'notFound',
  'amqp:link:message-size-exceeded': 'invalid',
  'amqp:decode-error': 'invalid',
  'amqp:invalid-field': 'invalid',
  // RabbitMQ of a message above `max_message_size`; it ends the session.
  'amqp:precondition-failed': 'invalid',
  'amqp:resource-limit-exceeded': 'throttled',
};

/** What a broker or a connection says of a failure, as a `StoreError`. What is not known may have had an effect: `unavailable`. */
export function toAmqpError(operation: string, failure: unknown): StoreError {
  if (failure instanceof StoreError) return failure;
  const condition = textOf(failure, 'condition');
  const text = textOf(failure, 'description') ?? textOf(failure, 'message') ?? 'no reason given';
  const code = condition === undefined ? undefined : CODES[condition];
  return new StoreError({
    code: code ?? 'unavailable',
    message: `${operation}: ${text.split('\n', 1)[0]?.slice(0, 200)}`,
    vendorCode: condition ?? textOf(failure, 'code'),
    cause: failure,
  });
}

function textOf(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null || !(name in value)) return undefined;
  const found: unknown = Reflect.get(value, name);
  return typeof found === 'string' && found !== '' ? found : undefined;
}
