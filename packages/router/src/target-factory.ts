import type { DeliveryTarget } from '@skiff/messaging/delivery-target';
import { type RoutedTarget, secretRefsOf } from '@skiff/model/route-secrets';
import { type Logger, silentLogger } from '@skiff/runtime/logger';
import { makeAmqpTarget, makeMqttTarget, makeServiceBusTarget } from './broker-target-makers.ts';
import { makeHttpTarget } from './http-target-maker.ts';
import { createSecretBoundTarget, type TargetSecrets } from './secret-bound-target.ts';
import { type TargetFactoryOptions, UnusableTargetError } from './target-factory-options.ts';

export { type TargetFactoryOptions, UnusableTargetError } from './target-factory-options.ts';

/** The route that a target belongs to. */
export interface TargetPlace {
  readonly namespace: string;
  readonly name: string;
}

/** Makes the adapter for a target's description. Throws when the target cannot work as described. */
export type TargetFactory = (target: RoutedTarget, route: TargetPlace) => DeliveryTarget;

export function createTargetFactory(given: Omit<TargetFactoryOptions, 'logger'> & { readonly logger?: Logger }): TargetFactory {
  const options = { logger: silentLogger, ...given };
  return (target, route) => {
    if (secretRefsOf(target).length === 0) return makeTarget(target, route, noSecrets, options);
    const { secrets } = options;
    if (secrets === undefined) throw new UnusableTargetError(target.name, 'this router is given no secrets');
    const make = (found: TargetSecrets): DeliveryTarget => makeTarget(target, route, found, options);
    return createSecretBoundTarget({ namespace: route.namespace, target, secrets, make, monotonicMs: () => performance.now() });
  };
}

function makeTarget(target: RoutedTarget, route: TargetPlace, secrets: TargetSecrets, options: TargetFactoryOptions): DeliveryTarget {
  if (target.http !== undefined) return makeHttpTarget(target, target.http, secrets, options);
  if (target.amqp !== undefined) return makeAmqpTarget(target, target.amqp, secrets, options);
  if (target.mqtt !== undefined) return makeMqttTarget(target, target.mqtt, secrets, options);
  if (target.serviceBus !== undefined) return makeServiceBusTarget(target, target.serviceBus, `${route.namespace}/${route.name}|${target.name}`, options);
  throw new UnusableTargetError(target.name, 'it has no kind that is known here');
}

function noSecrets(): never {
  throw new RangeError('the target names no secrets');
}

/** Stands in for a target that could not be made: its deliveries wait, and say why, until the route is mended. */
export function createUnusableTarget(reason: string): DeliveryTarget {
  return {
    deliver: () => Promise.resolve({ kind: 'retry', reason: `the target is unusable: ${reason}` }),
    close: () => Promise.resolve(),
  };
}
