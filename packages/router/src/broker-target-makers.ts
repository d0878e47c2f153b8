import { createAmqpTarget } from '@skiff/messaging/amqp-target';
import type { DeliveryTarget } from '@skiff/messaging/delivery-target';
import { createMqttTarget } from '@skiff/messaging/mqtt-target';
import { createServiceBusTarget } from '@skiff/messaging/service-bus-target';
import type { RouteTarget } from '@skiff/model/event-route';
import { deliveryPolicyOf } from './delivery-policy.ts';
import { tlsOf } from './http-target-maker.ts';
import type { TargetSecrets } from './secret-bound-target.ts';
import { type TargetFactoryOptions, UnusableTargetError } from './target-factory-options.ts';

type Spec<Kind extends 'amqp' | 'mqtt' | 'serviceBus'> = NonNullable<RouteTarget[Kind]>;

export function makeAmqpTarget(target: RouteTarget, amqp: Spec<'amqp'>, secrets: TargetSecrets, options: TargetFactoryOptions): DeliveryTarget {
  const { addresses, logger } = options;
  const { timeoutMs } = deliveryPolicyOf(target);
  return createAmqpTarget({
    url: amqp.url,
    address: amqp.address,
    timeoutMs,
    addresses,
    logger,
    tls: tlsOf(amqp.tls, secrets, options),
    ...loginOf(amqp, secrets),
  });
}

export function makeMqttTarget(target: RouteTarget, mqtt: Spec<'mqtt'>, secrets: TargetSecrets, options: TargetFactoryOptions): DeliveryTarget {
  const { timeoutMs } = deliveryPolicyOf(target);
  return createMqttTarget({
    url: mqtt.url,
    topic: mqtt.topic,
    timeoutMs,
    addresses: options.addresses,
    tls: tlsOf(mqtt.tls, secrets, options),
    ...loginOf(mqtt, secrets),
  });
}

/** `place` names the target among all. */
export function makeServiceBusTarget(target: RouteTarget, serviceBus: Spec<'serviceBus'>, place: string, options: TargetFactoryOptions): DeliveryTarget {
  const { azure, logger, addresses } = options;
  if (azure === undefined) throw new UnusableTargetError(target.name, 'this router has no identity');
  const { namespace, endpoint, queue, topic } = serviceBus;
  const entity = queue ?? topic;
  if (entity === undefined) throw new UnusableTargetError(target.name, 'it names neither queue nor topic');
  const { timeoutMs } = deliveryPolicyOf(target);
  return createServiceBusTarget({ namespace, entity, place, timeoutMs, credential: azure, logger, addresses, ...(endpoint === undefined ? {} : { endpoint }) });
}

function loginOf({ authentication }: Spec<'amqp'> | Spec<'mqtt'>, secrets: TargetSecrets) {
  if (authentication === undefined) return {};
  return { login: { username: authentication.username, password: secrets(authentication.passwordSecretRef) } };
}
