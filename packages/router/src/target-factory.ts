import type { DeliveryTarget } from '@skiff/messaging/delivery-target';
import { createHttpTarget } from '@skiff/messaging/http-target';
import type { RouteTarget } from '@skiff/model/event-route';
import { deliveryPolicyOf } from './delivery-policy.ts';

/** Makes the adapter for a target's description. Throws when the target cannot work as described. */
export type TargetFactory = (target: RouteTarget) => DeliveryTarget;

export interface TargetFactoryOptions {
  /** Which loopback, private and special-purpose addresses HTTP targets may have (see the address guard). */
  readonly addresses: { readonly allow: readonly string[]; readonly denyPrivate?: boolean };
  /** Such as `skiff/1.2.3`. */
  readonly userAgent: string;
  /** Attempts, and so connections, at a time per target. */
  readonly concurrency: number;
  /** Certificates (PEM) to trust in place of the system's. */
  readonly ca?: string;
}

/** A description that no adapter can serve: `http` is missing. */
export class UnknownTargetError extends Error {
  readonly code = 'UnknownTarget';
  constructor(name: string) {
    super(`target ${name} has no kind that is known here`);
    this.name = 'UnknownTargetError';
  }
}

export function createTargetFactory(options: TargetFactoryOptions): TargetFactory {
  return (target) => {
    if (target.http === undefined) throw new UnknownTargetError(target.name);
    return createHttpTarget({
      url: target.http.url,
      format: target.http.format ?? 'Structured',
      headers: target.http.headers ?? [],
      timeoutMs: deliveryPolicyOf(target).timeoutMs,
      addresses: options.addresses,
      userAgent: options.userAgent,
      maxConnections: options.concurrency,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    });
  };
}

/** Stands in for a target that could not be made: its deliveries wait, and say why, until the route is mended. */
export function createUnusableTarget(reason: string): DeliveryTarget {
  return {
    deliver: () => Promise.resolve({ kind: 'retry', reason: `the target is unusable: ${reason}` }),
    close: () => Promise.resolve(),
  };
}
